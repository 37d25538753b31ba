"""What may be shown on a terminal."""


def printable(text: str) -> str:
    """A text of a certificate, which must not steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
