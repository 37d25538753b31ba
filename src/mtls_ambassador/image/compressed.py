"""Images that are compressed as they are: .gz, .xz, .zst, .bz2."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.packing import HEAD
from mtls_ambassador.image.unpack import Packing, unpacked


class Compressed:
    """One image, compressed."""

    is_rootfs = False

    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    def unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        """The image."""
        return unpacked(self._packing, file)

    def refuse_pack(self, file: BinaryIO) -> None:
        """Nothing is beside it."""

    def pack(self, file: BinaryIO, raw: RawFile, chunks: Iterable[bytes], out: BinaryIO) -> list[str]:
        """Compress in the same way, at the level that the compressor takes by itself where the file does not tell."""
        del raw
        file.seek(0)
        out.writelines(self._packing.packed(chunks, file.read(HEAD)))
        return []
