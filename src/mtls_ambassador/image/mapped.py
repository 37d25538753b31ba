"""Which bytes of an image count: those in its block map, or, without one, those that are no hole."""

from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

from mtls_ambassador.image.bmap_path import find_bmap
from mtls_ambassador.image.overlay import RawFile

if TYPE_CHECKING:
    from mtls_ambassador.image.bmap_beside import BmapBeside


class Mapped:
    """The parts of an image that whoever copies it must copy; elsewhere a copy may hold anything."""

    def __init__(self, path: Path, image: RawFile) -> None:
        """Raises AmbassadorError when there is a file beside the image that is no block map for one of its size."""
        self.bmap = _bmap_beside(path, image.size)
        self.parts = list(image.extents(0, image.size)) if self.bmap is None else self.bmap.parts
        self._starts = [offset for offset, _ in self.parts]

    def holds(self, offset: int, length: int) -> bool:
        """Whether any of these bytes counts."""
        number = bisect_right(self._starts, offset + length - 1) - 1
        return number >= 0 and sum(self.parts[number]) > offset


def _bmap_beside(image: Path, size: int) -> "BmapBeside | None":
    path = find_bmap(image)
    if path is None:
        return None
    from mtls_ambassador.image.bmap_beside import BmapBeside  # noqa: PLC0415 - seldom needed, and slow to load

    return BmapBeside(path, image, size)
