"""Texts as every database takes them."""


def storable(text: str) -> str:
    """Without a NUL, and what is no Unicode replaced: PostgreSQL refuses both."""
    whole = text.replace("\0", "\ufffd")
    return whole if whole.isascii() else whole.encode(errors="replace").decode()
