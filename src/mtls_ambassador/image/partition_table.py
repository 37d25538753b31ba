"""Where the partitions of a disk image are: MBR with extended partitions, and GPT (UEFI specification, chapter 5)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from mtls_ambassador.image.superblock import Source
from mtls_ambassador.model.errors import AmbassadorError

SECTOR = 512
_EXTENDED = {0x05, 0x0F, 0x85}
_PROTECTIVE = 0xEE
_MAX_LOGICAL = 128
_MAX_ENTRIES = 1024
_ENTRY_SIZES = range(128, 4097)
_REPAIR = "repair it with gdisk, which has a second copy of it at the image's end (`r`, then `b` or `c`, then `w`)"
EFI_SYSTEM = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


@dataclass(frozen=True, slots=True)
class Partition:
    """Bytes of a disk that are for a file system."""

    number: int
    """As Linux counts: 1 to 4 are primary, logical ones begin at 5."""
    start: int
    """First byte."""
    size: int
    """Bytes."""
    type: str
    """MBR: two hexadecimal digits; GPT: a GUID."""
    name: str = ""
    """GPT only."""

    @property
    def end(self) -> int:
        """The byte behind its last."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Table:
    """All partitions of a disk."""

    kind: str
    """mbr, gpt, or none when the image is one file system."""
    partitions: tuple[Partition, ...]
    faults: tuple[str, ...] = ()
    """Why the image is not to be written to."""


def read_table(image: Source) -> Table:
    """The partition table; one partition with number 0 when there is no table.

    Raises AmbassadorError when there is a table that cannot be read. Fails closed: partitions that overlap, lie outside
    the image or over the table, and a chain of logical ones that breaks off, are faults of the table, which forbid any
    change.
    """
    if image.size < SECTOR:
        raise AmbassadorError(f"is no disk image: it has {image.size} bytes")
    first = image.read(0, SECTOR)
    if first[510:] != b"\x55\xaa" or _is_boot_sector(first) or not (entries := list(_mbr_entries(first))):
        return Table("none", (Partition(0, 0, image.size, ""),))
    if any(kind == _PROTECTIVE for _, kind, _, _ in entries):
        return _gpt(image)
    return _mbr(image, entries)


def _is_boot_sector(first: bytes) -> bool:
    """Whether it is a FAT file system's, which has no table."""
    return first[0] in {0xEB, 0xE9} and (first[54:57] == b"FAT" or first[82:85] == b"FAT")


def _mbr_entries(sector: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, type, first sector and count of sectors of the four entries that are in use."""
    for number in range(4):
        at = 446 + 16 * number
        start, count = struct.unpack_from("<II", sector, at + 8)
        if sector[at] in {0, 0x80} and sector[at + 4] and start and count:
            yield number + 1, sector[at + 4], start, count


def _mbr(image: Source, entries: list[tuple[int, int, int, int]]) -> Table:
    found = [
        Partition(number, start * SECTOR, count * SECTOR, f"{kind:02x}")
        for number, kind, start, count in entries
        if kind not in _EXTENDED
    ]
    tables, faults = [(0, SECTOR)], []
    extended = next((start for _, kind, start, _ in entries if kind in _EXTENDED), None)
    try:
        for at, logical in () if extended is None else _logical(image, extended):
            tables.append((at, at + SECTOR))
            found += logical
    except AmbassadorError as error:
        faults = [f"{error}; partitions behind that are not seen"]
    return _checked(Table("mbr", tuple(found), tuple(faults)), tables, image.size)


def _logical(image: Source, extended: int) -> Iterator[tuple[int, list[Partition]]]:
    """The chain of tables in the extended partition: the byte each is at, and the partitions in it."""
    at, number, seen = extended, 5, set[int]()
    while at not in seen and len(seen) < _MAX_LOGICAL:
        seen.add(at)
        entries = list(_mbr_entries(_logical_table(image, at * SECTOR)))
        parts = [(at + start, count, kind) for _, kind, start, count in entries if kind not in _EXTENDED]
        yield (
            at * SECTOR,
            [
                Partition(number + index, start * SECTOR, count * SECTOR, f"{kind:02x}")
                for index, (start, count, kind) in enumerate(parts)
            ],
        )
        following = next((extended + start for _, kind, start, _ in entries if kind in _EXTENDED), None)
        if following is None:
            return
        at, number = following, number + len(parts)
    raise AmbassadorError("the extended partition leads in a circle, or has too many partitions")


def _logical_table(image: Source, at: int) -> bytes:
    if at + SECTOR > image.size:
        raise AmbassadorError(f"the extended partition goes on at byte {at}, behind the image's end: truncated?")
    sector = image.read(at, SECTOR)
    if sector[510:] != b"\x55\xaa":
        raise AmbassadorError(f"the extended partition is broken: no partition table at byte {at}")
    return sector


def _gpt(image: Source) -> Table:
    sector, header = _gpt_header(image)
    first, count, size, checksum = struct.unpack_from("<QIII", header, 72)
    if count > _MAX_ENTRIES or size not in _ENTRY_SIZES:
        raise AmbassadorError(f"the GPT has {count} entries of {size} bytes, which cannot be right; {_REPAIR}")
    begin, end = first * sector, first * sector + count * size
    if end > image.size:
        raise AmbassadorError(f"the entries of the GPT are at byte {begin}, behind the image's end: truncated?")
    entries = image.read(begin, count * size) if count else b""
    if zlib.crc32(entries) != checksum:
        raise AmbassadorError(f"the entries of the GPT are damaged (their checksum is wrong); {_REPAIR}")
    found = tuple(_gpt_entries(entries, size, sector))
    return _checked(Table("gpt", found), [(0, 2 * sector), (begin, end)], image.size)


def _gpt_header(image: Source) -> tuple[int, bytes]:
    """Bytes of a sector, and the header, which is in the second."""
    for sector in (512, 4096):
        if image.size >= 2 * sector and image.read(sector, 8) == b"EFI PART":
            header = image.read(sector, sector)
            break
    else:
        raise AmbassadorError(f"the partition table is a GPT, and its header is missing; {_REPAIR}")
    length, checksum = struct.unpack_from("<II", header, 12)
    if not 92 <= length <= sector or zlib.crc32(header[:16] + bytes(4) + header[20:length]) != checksum:  # noqa: PLR2004 - UEFI 5.3.2
        raise AmbassadorError(f"the header of the GPT is damaged (its checksum is wrong); {_REPAIR}")
    return sector, header


def _gpt_entries(entries: bytes, size: int, sector: int) -> Iterator[Partition]:
    for number in range(len(entries) // size):
        entry = entries[number * size : (number + 1) * size]
        if any(entry[:16]):
            start, last = struct.unpack_from("<QQ", entry, 32)
            name = entry[56:128].decode("utf-16-le", errors="replace").split("\0", 1)[0]
            kind = _guid(entry[:16])
            yield Partition(number + 1, start * sector, (last + 1 - start) * sector, kind, name)


def _guid(raw: bytes) -> str:
    """As people write it: the first three parts are little-endian (UEFI specification, appendix A)."""
    first, second, third = struct.unpack_from("<IHH", raw)
    return f"{first:08x}-{second:04x}-{third:04x}-{raw[8:10].hex()}-{raw[10:].hex()}"


def _checked(table: Table, tables: list[tuple[int, int]], size: int) -> Table:
    """With what is wrong with its partitions; `tables` are begin and end of where the table itself is."""
    faults = list(table.faults)
    for item in table.partitions:
        if item.size <= 0:
            faults.append(f"partition {item.number} ends before it begins")
        elif item.end > size:
            faults.append(
                f"partition {item.number} ends at byte {item.end}, behind the image's end at {size}: truncated image?"
            )
        elif any(item.start < end and begin < item.end for begin, end in tables):
            faults.append(f"partition {item.number} lies over the partition table")
    by_start = sorted(table.partitions, key=lambda item: item.start)
    faults += [
        f"partitions {one.number} and {other.number} overlap"
        for one, other in pairwise(by_start)
        if one.end > other.start
    ]
    return replace(table, faults=tuple(faults))
