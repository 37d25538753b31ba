"""`MTLS_BLACKLIST_PATH`, as Mender Gateway documents it: one hexadecimal serial a line. Pure."""

import re
from collections.abc import Iterator

from mtls_ambassador.model.errors import FaultsError

WIDTH = 40
"""Hexadecimal digits: RFC 5280 section 4.1.2.2 allows 20 octets."""
_PLAIN = b"0123456789abcdef\n"
_PAIR = rb"[0-9a-f]{2}"
_SERIAL = rb"[0-9a-f]+|%b(?::%b)+|%b(?:[ \t]+%b)+" % ((_PAIR,) * 4)
_LINE = re.compile(rb"(?:0x|serial=)?(%b)" % _SERIAL)
_ENDS = re.compile(rb"\r\n|\n|\r")
_MOST_FAULTS = 10


def parse_serials(content: bytes) -> set[bytes]:
    """The serials, each as 40 lower-case digits.

    A line may begin with 0x or `serial=`, have colons or blanks between pairs of digits, leading zeros, upper case,
    blanks around it, and a comment behind `#`; it ends with LF, CR or both. Fails closed: raises FaultsError naming the
    lines that are no serial, and nothing of the file is used.
    """
    text = content.lower().removeprefix(b"\xef\xbb\xbf")
    if not text.translate(None, _PLAIN):  # a million of them in a fraction of a second
        lines = text.split()
        if max(map(len, lines), default=0) <= WIDTH:
            return {line.rjust(WIDTH, b"0") for line in lines}
    faults: list[str] = []
    found = set(_parsed(text, faults))
    if faults:
        raise FaultsError(faults)
    return found


def _parsed(text: bytes, faults: list[str]) -> Iterator[bytes]:
    for number, line in enumerate(_ENDS.split(text), 1):
        word = line.partition(b"#")[0].strip(b" \t")
        if not word:
            continue
        match = _LINE.fullmatch(word)
        digits = match[1].translate(None, b": \t").lstrip(b"0") if match else b""
        if match is None or len(digits) > WIDTH:
            shown = "".join(char if char.isprintable() else "?" for char in line.decode(errors="replace")[:60])
            faults.append(
                f"line {number}: {shown.strip()!r} is no serial; one hexadecimal serial of at most 20 octets a line is"
                " right, such as 0F:A3 or 0x0fa3"
            )
            if len(faults) >= _MOST_FAULTS:
                return
            continue
        yield digits.rjust(WIDTH, b"0")
