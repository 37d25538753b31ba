"""The file that an interrupted edit is undone with: what was there, and how to tell that it is of this image."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mtls_ambassador.image.blocks import MAX_BYTES, Blocks, decode, encode
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.model.errors import AmbassadorError

_KIND = "mtls-ambassador undo 1"
_SECTOR = 512
"""Bytes that a disk writes wholly or not at all."""
MAX_SIZE = MAX_BYTES + (256 << 20)
"""Bytes of an undo file: all blocks that fit, their checksums, and a block map, escaped as in JSON."""


def undo_file(size: int, old: Blocks, new: Blocks, beside: Mapping[str, str]) -> bytes:
    """Its bytes, for an image of `size` bytes in which `old` become `new`; `beside` are block maps, by name.

    Raises AmbassadorError when it would be too large to be read again.
    """
    sums = "".join(_sum(sector) for _, sector in _sectors(new))
    return encode(_KIND, {"size": size, "beside": beside, "new": sums}, old)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an undo file holds."""

    size: int
    """Bytes of the image."""
    blocks: dict[int, bytes]
    """What was there."""
    new: str
    """A checksum of each sector that was about to be there: enough to tell them from another image's."""
    beside: dict[str, str]
    """Block maps beside the image, by name."""

    def refuse_other(self, image: RawFile) -> None:
        """Raises AmbassadorError unless each sector is what was there, or what was about to be."""
        if self.size != image.size:
            raise AmbassadorError(f"it was of an image of {self.size} bytes, and this one has {image.size}")
        for number, (at, old) in enumerate(_sectors(self.blocks)):
            now, new = image.read(at, len(old)), self.new[8 * number : 8 * number + 8]
            if now != old and _sum(now) != new:
                raise AmbassadorError(f"byte {at} on is neither as it was before that edit nor after")


def parse_undo_file(data: bytes, name: str) -> Kept:
    """Raises AmbassadorError for anything but a whole undo file that keeps to its image."""
    file = decode(_KIND, data, name)
    size, beside, new = (file.facts.get(fact) for fact in ("size", "beside", "new"))
    if type(size) is not int or not isinstance(beside, dict) or not isinstance(new, str):
        raise AmbassadorError(f"{name}: has another head than an edit writes")
    if any(offset + len(block) > size for offset, block in file.blocks.items()):
        raise AmbassadorError(f"{name}: has blocks behind the image's end")
    return Kept(size, file.blocks, new, {bmap: str(text) for bmap, text in beside.items()})


def _sectors(blocks: Blocks) -> Iterator[tuple[int, bytes]]:
    for offset, block in sorted(blocks.items()):
        for begin in range(0, len(block), _SECTOR):
            yield offset + begin, block[begin : begin + _SECTOR]


def _sum(sector: bytes) -> str:
    return f"{zlib.crc32(sector):08x}"
