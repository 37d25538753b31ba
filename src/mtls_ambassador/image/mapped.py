"""Which bytes of an image count: those in its block map, or, without one, those that are no hole."""

from bisect import bisect_right
from pathlib import Path

from mtls_ambassador.image.bmap_path import find_bmap
from mtls_ambassador.image.bmap_text import parse_bmap
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.model.errors import AmbassadorError


class Mapped:
    """The parts of an image that whoever copies it must copy; elsewhere a copy may hold anything."""

    def __init__(self, path: Path, image: RawFile) -> None:
        """Raises AmbassadorError when there is a block map beside the image that is not its own."""
        self.bmap = find_bmap(path)
        if self.bmap is None:
            self.parts = list(image.extents(0, image.size))
        else:
            self.parts = _parts(self.bmap, image.size)
        self._starts = [offset for offset, _ in self.parts]

    def holds(self, offset: int, length: int) -> bool:
        """Whether any of these bytes counts."""
        number = bisect_right(self._starts, offset + length - 1) - 1
        return number >= 0 and sum(self.parts[number]) > offset


def _parts(path: Path, size: int) -> list[tuple[int, int]]:
    try:
        bmap = parse_bmap(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError) as error:
        raise AmbassadorError(f"{path}: cannot be read: {error}") from error
    except AmbassadorError as error:
        raise AmbassadorError(f"{path}: {error}") from error
    if bmap.image_size != size:
        raise AmbassadorError(f"{path}: is of an image of {bmap.image_size} bytes, and this one has {size}")
    return [
        (span.first * bmap.block_size, min((span.last + 1) * bmap.block_size, size) - span.first * bmap.block_size)
        for span in bmap.spans
    ]
