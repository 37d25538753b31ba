"""Reading and writing bmaptool's XML; all of it that is not about the blocks stays as it is."""

import hashlib
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from xml.etree import ElementTree as ET

from mtls_ambassador.model.errors import AmbassadorError

MAX_SIZE = 16 << 20
"""Bytes of a map; one range takes about a hundred."""
_NEWEST = 2
_FIRST_CHECKSUMS, _ANY_CHECKSUMS = (1, 3), (1, 4)
_ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_SIZES = ("KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Span:
    """Blocks that are copied, one after the other."""

    first: int
    last: int
    checksum: str | None
    """None where the map has none."""

    @property
    def count(self) -> int:
        """Of blocks."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Bmap:
    """A block map."""

    version: tuple[int, int]
    image_size: int
    """Bytes."""
    block_size: int
    """Bytes."""
    algorithm: str | None
    """Of checksums; None in versions before 1.3."""
    spans: tuple[Span, ...]
    """In order, none overlapping."""

    @property
    def mapped(self) -> int:
        """Blocks that are copied."""
        return sum(span.count for span in self.spans)

    @property
    def blocks(self) -> int:
        """All."""
        return -(-self.image_size // self.block_size)

    @property
    def attribute(self) -> str:
        """How a range's checksum is called."""
        return "chksum" if self.version >= _ANY_CHECKSUMS else "sha1"

    @property
    def file_element(self) -> str:
        """What holds the checksum of the map itself."""
        return "BmapFileChecksum" if self.version >= _ANY_CHECKSUMS else "BmapFileSHA1"


def parse_bmap(text: str) -> Bmap:
    """Read a map. Raises AmbassadorError for what bmaptool would not take, or not take in whole."""
    if text.startswith("-----BEGIN PGP"):
        raise AmbassadorError("is signed, and cannot be changed with the image without losing that")
    if len(text) > MAX_SIZE or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AmbassadorError("is no block map of bmaptool")
    try:
        bmap = _parsed(ET.fromstring(text))  # noqa: S314 - no entities, by the line above
    except (ET.ParseError, ValueError, TypeError, KeyError) as error:
        raise AmbassadorError(f"cannot be read as a block map of bmaptool: {error}") from error
    _check(bmap, text)
    return bmap


def _parsed(root: ET.Element) -> Bmap:
    major, minor = (int(part) for part in root.attrib["version"].split("."))
    version = (major, minor)
    if major > _NEWEST:
        raise ValueError(f"version {major}.{minor}; up to {_NEWEST} is known")
    algorithm = None
    if version >= _ANY_CHECKSUMS:
        algorithm = (root.findtext("ChecksumType") or "").strip()
        if algorithm not in _ALGORITHMS:
            raise ValueError(f"ChecksumType is {algorithm!r}, and none of {', '.join(_ALGORITHMS)}")
    elif version == _FIRST_CHECKSUMS:
        algorithm = "sha1"
    bmap = Bmap(version, _number(root, "ImageSize"), _number(root, "BlockSize"), algorithm, ())
    ranges = root.findall("BlockMap/Range")
    bmap = replace(bmap, spans=tuple(_span(item.text or "", item.get(bmap.attribute)) for item in ranges))
    if (_number(root, "BlocksCount"), _number(root, "MappedBlocksCount")) != (bmap.blocks, bmap.mapped):
        raise ValueError("its counts of blocks contradict each other")
    return bmap


def _number(root: ET.Element, name: str) -> int:
    value = int((root.findtext(name) or "").strip())
    if value <= 0 and name != "MappedBlocksCount":
        raise ValueError(f"{name} is {value}")
    return value


def _span(text: str, checksum: str | None) -> Span:
    first, _, last = text.partition("-")
    span = Span(int(first), int(last or first), checksum)
    if span.first > span.last:
        raise ValueError(f"range {text.strip()}")
    return span


def _check(bmap: Bmap, text: str) -> None:
    overlaps = any(after.first <= before.last for before, after in pairwise(bmap.spans))
    if overlaps or (bmap.spans and bmap.spans[-1].last >= bmap.blocks):
        raise AmbassadorError("is no block map of bmaptool: its ranges overlap or lie outside the image")
    if bmap.algorithm is not None and _with_own_checksum(bmap, text) != text:
        raise AmbassadorError("was changed or damaged: its own checksum is wrong")


def _with_own_checksum(bmap: Bmap, text: str) -> str:
    """The text with its own checksum right; that is found with zeros in its place."""
    if bmap.algorithm is None:
        return text
    zeros = "0" * len(hashlib.new(bmap.algorithm).hexdigest())
    blank = _filled(text, bmap.file_element, zeros)
    return _filled(blank, bmap.file_element, hashlib.new(bmap.algorithm, blank.encode()).hexdigest())


def _filled(text: str, element: str, value: str) -> str:
    """The text with another value in an element that has no others in it.

    Here as below nothing is tried twice: in a map made for that, it would take hours.
    """
    pattern = rf"(<{element}>\s*+)[0-9A-Za-z]*+(\s*+</{element}>)"
    new, count = re.subn(pattern, lambda found: found[1] + value + found[2], text)
    if count != 1:
        raise AmbassadorError(f"is no block map of bmaptool: {element} is not there once")
    return new


def rewritten(text: str, bmap: Bmap) -> str:
    """The text with the ranges of `bmap`, and what follows from them."""
    lines = "".join(f"        {_line(span, bmap.attribute)}\n" for span in bmap.spans)
    before, _, rest = text.partition("<BlockMap>")
    new = f"{before}<BlockMap>\n{lines}    </BlockMap>{rest.partition('</BlockMap>')[2]}"
    new = _filled(new, "MappedBlocksCount", str(bmap.mapped))
    said = f"{_sized(bmap.mapped * bmap.block_size)} or {100 * bmap.mapped / bmap.blocks:.1f}%"
    new = re.sub(r"(<!-- Count of mapped blocks: )([^<>]*+)(?=>)", lambda found: found[1] + _said(said, found[2]), new)
    new = _with_own_checksum(bmap, new)
    if parse_bmap(new) != bmap:
        raise AmbassadorError("cannot be changed: it is written in another way than bmaptool writes it")
    return new


def _said(new: str, old: str) -> str:
    """What a comment says instead, with as many blanks behind it as before."""
    text = old.removesuffix("--")
    return new + text[len(text.rstrip(" ")) :] + old[len(text) :]


def _line(span: Span, attribute: str) -> str:
    checksum = f' {attribute}="{span.checksum}"' if span.checksum else ""
    blocks = f"{span.first}-{span.last}" if span.count > 1 else str(span.first)
    return f"<Range{checksum}> {blocks} </Range>"


def _sized(size: int) -> str:
    """As bmaptool says it."""
    power = max(1, min(4, (size.bit_length() - 1) // 10))
    return f"{size / 1024**power:.1f} {_SIZES[power - 1]}"
