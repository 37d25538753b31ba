"""The ways in which images are compressed: gzip, xz, Zstandard, bzip2. Packed in threads, each with its own pieces."""

import bz2
import lzma
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator

from mtls_ambassador.image.pieces import in_threads, pieces, thread_count
from mtls_ambassador.image.unpack import Packing

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEAD = 1 << 16
"""Bytes from a file's beginning that tell how it was packed."""
_GZIP_PIECE = 2 << 20
_GZIP_LEVELS = {2: 9, 4: 1}
"""By what the header says of the effort (RFC 1952, XFL)."""
_HAS_EXTRA, _HAS_NAME = 4, 8
_XZ_PIECE = 24 << 20
_XZ_MEMORY = 1 << 30
"""Bytes that unpacking takes at most; `xz -9` needs 65 MiB, and what a file claims may be 4 GiB."""
_BZIP2_BLOCK = 100_000
_DIGIT_ZERO = ord("0")


class _Inflater:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _gzipped(chunks: Iterable[bytes], head: bytes) -> Iterator[bytes]:
    """One member, which every reader takes, of blocks that were deflated apart."""
    check = size = 0

    def counted() -> Iterator[bytes]:
        nonlocal check, size
        for piece in pieces(chunks, _GZIP_PIECE):
            check, size = zlib.crc32(piece, check), size + len(piece)
            yield piece

    level = _GZIP_LEVELS.get(head[8], 6)
    name = _gzip_name(head)
    yield head[:3] + bytes([_HAS_NAME if name else 0]) + head[4:10] + name
    yield from in_threads(lambda piece: _deflated(piece, level), counted(), _GZIP_PIECE)
    yield zlib.compress(b"", wbits=-15) + struct.pack("<II", check, size & 0xFFFFFFFF)


def _gzip_name(head: bytes) -> bytes:
    """The file's name before it was packed, with the zero behind it; empty when there is none."""
    at, flags = 10, head[3]
    if flags & _HAS_EXTRA:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    return head[at : head.find(b"\0", at) + 1] if flags & _HAS_NAME else b""


def _deflated(piece: bytes, level: int) -> bytes:
    packer = zlib.compressobj(level, wbits=-15)
    return packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)


def _unxz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


def _xzed(chunks: Iterable[bytes], head: bytes) -> Iterator[bytes]:
    """A stream for each piece, with the same kind of check: some boot loaders know CRC32 alone."""
    check = head[7] & 15
    return in_threads(lambda piece: lzma.compress(piece, check=check), pieces(chunks, _XZ_PIECE), _XZ_PIECE)


def _bzipped(chunks: Iterable[bytes], head: bytes) -> Iterator[bytes]:
    """A stream for each piece."""
    level = head[3] - _DIGIT_ZERO
    size = 8 * level * _BZIP2_BLOCK
    return in_threads(lambda piece: bz2.compress(piece, level), pieces(chunks, size), size)


def _zstd_begins(data: bytes) -> bool:
    """A frame, or a skippable frame (RFC 8878, 3.1)."""
    return data.startswith(b"\x28\xb5\x2f\xfd") or (data[1:4] == b"\x2a\x4d\x18" and data[0] >> 4 == 5)  # noqa: PLR2004 - 0x50 to 0x5f


def _zstd_packed(chunks: Iterable[bytes], head: bytes) -> Iterator[bytes]:
    """One frame. The level it had is not told by the file."""
    del head
    parameter = zstd.CompressionParameter
    packer = zstd.ZstdCompressor(options={parameter.checksum_flag: 1, parameter.nb_workers: thread_count()})
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


GZIP = Packing(lambda data: data.startswith(b"\x1f\x8b\x08"), _Inflater, _gzipped, zlib.error)
XZ = Packing(lambda data: data.startswith(b"\xfd7zXZ\0"), _unxz, _xzed, lzma.LZMAError)
ZSTD = Packing(_zstd_begins, zstd.ZstdDecompressor, _zstd_packed, zstd.ZstdError)
BZIP2 = Packing(lambda data: data.startswith(b"BZh"), bz2.BZ2Decompressor, _bzipped, OSError)
PACKINGS = (GZIP, XZ, ZSTD, BZIP2)


def packing_of(head: bytes) -> Packing | None:
    """The one whose streams begin so."""
    return next((packing for packing in PACKINGS if packing.begins(head)), None)
