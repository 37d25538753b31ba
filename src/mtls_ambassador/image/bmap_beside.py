"""A block map beside an image, held against that image: a build that makes one anew may leave the other as it was."""

import hashlib
from pathlib import Path

from mtls_ambassador.image.bmap import checksum_of
from mtls_ambassador.image.bmap_file import read_bmap
from mtls_ambassador.image.bmap_text import Bmap, parse_bmap
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.progress import Progress
from mtls_ambassador.model.errors import AmbassadorError

_CHUNK = 1 << 20


class BmapBeside:
    """A block map, read once."""

    def __init__(self, path: Path, image: Path, size: int) -> None:
        """Raises AmbassadorError when it cannot be read, or is of an image of another size."""
        self.path, self._image = path, image
        text = read_bmap(path.resolve())
        try:
            self._bmap = parse_bmap(text)
        except AmbassadorError as error:
            raise self._useless(str(error)) from error
        if self._bmap.image_size != size:
            raise self._useless(f"is of an image of {self._bmap.image_size} bytes, and this one has {size}")
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        """SHA-256 of its text, in hexadecimal digits."""
        self.parts = _parts(self._bmap)
        """Offset and length of what it says to copy, in bytes and in order."""

    def refuse_other(self, image: RawFile, on_progress: Progress) -> None:
        """Read the whole image. Raises AmbassadorError when a checksum is wrong, or something is where nothing is."""
        at = 0
        for span, (offset, length) in zip(self._bmap.spans, self.parts, strict=True):
            self._refuse_filled(image, at, offset)
            at = offset + length
            has_sum = self._bmap.algorithm is not None and span.checksum is not None
            if has_sum and checksum_of(self._bmap, image, span.first, span.last) != span.checksum:
                raise self._useless(f"does not fit it: blocks {span.first}-{span.last} have another checksum")
            on_progress("map", at, image.size)
        self._refuse_filled(image, at, image.size)
        on_progress("map", image.size, image.size)

    def _refuse_filled(self, image: RawFile, start: int, end: int) -> None:
        for offset, length in image.extents(start, end - start):
            for begin in range(offset, offset + length, _CHUNK):
                chunk = image.read(begin, min(_CHUNK, offset + length - begin))
                if chunk.count(0) != len(chunk):
                    raise self._useless(f"does not fit it: leaves out what is there at or after byte {begin}")

    def _useless(self, why: str) -> AmbassadorError:
        return AmbassadorError(
            f"{self.path}: {why}; it would be taken for the map of {self._image.name}: remove it, or make it anew by"
            f" `bmaptool create`; nothing was written"
        )


def _parts(bmap: Bmap) -> list[tuple[int, int]]:
    size = bmap.block_size
    return [
        (span.first * size, min((span.last + 1) * size, bmap.image_size) - span.first * size) for span in bmap.spans
    ]
