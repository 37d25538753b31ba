"""Partition tables, byte by byte, so that each can be wrong in one way."""

import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

LINUX_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


class Memory:
    """An image in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= self.size, "read behind the end"
        return self.data[offset : offset + length]


def entry(kind: int, start: int, count: int, boot: int = 0) -> bytes:
    """A line of an MBR; sectors."""
    return bytes([boot, 0, 0, 0, kind, 0, 0, 0]) + struct.pack("<II", start, count)


def mbr(*entries: bytes) -> bytes:
    """A sector with a table of up to four lines."""
    return (bytes(446) + b"".join(entries)).ljust(510, b"\0") + b"\x55\xaa"


def disk(size: int, *pieces: tuple[int, bytes]) -> Memory:
    """An image of so many sectors of 512 bytes, with these pieces at these sectors."""
    data = bytearray(size * 512)
    for at, piece in pieces:
        data[at * 512 : at * 512 + len(piece)] = piece
    return Memory(bytes(data))


@dataclass(frozen=True, slots=True)
class Gpt:
    """A GUID partition table, and what is said of it."""

    entries: Sequence[tuple[int, int, str]]
    """First and last sector, and name."""
    sector: int = 512
    first: int = 2
    """Sector of the entries."""
    count: int = 128
    entry_size: int = 128
    header_size: int = 92
    hybrid: tuple[bytes, ...] = ()
    """Lines of the MBR besides the protective one."""

    def lines(self) -> bytes:
        lines = (
            LINUX_DATA.bytes_le + bytes(16) + struct.pack("<QQQ", start, last, 0) + name.encode("utf-16-le")
            for start, last, name in self.entries
        )
        lines_of_size = (line.ljust(self.entry_size, b"\0") for line in lines)
        return b"".join(lines_of_size).ljust(self.count * self.entry_size, b"\0")

    def header(self) -> bytes:
        head = struct.pack("<8sIIIIQQQQ", b"EFI PART", 0x10000, self.header_size, 0, 0, 1, 0, 34, 0) + bytes(16)
        checksum = zlib.crc32(self.lines())
        head += struct.pack("<QIII", self.first, self.count, self.entry_size, checksum)
        return head[:16] + struct.pack("<I", zlib.crc32(head[: self.header_size])) + head[20:]

    def disk(self, size: int) -> Memory:
        """An image of so many sectors (of 512 bytes) with this table."""
        scale = self.sector // 512
        protective = mbr(entry(0xEE, 1, size - 1), *self.hybrid)
        pieces = [(0, protective), (scale, self.header())]
        if (self.first * self.sector + len(self.lines())) <= size * 512:
            pieces.append((self.first * scale, self.lines()))
        return disk(size, *pieces)
