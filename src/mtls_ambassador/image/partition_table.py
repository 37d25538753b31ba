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

    Raises AmbassadorError when there is a table that cannot be read. Fails closed: partitions that overlap or lie
    outside the image are faults of the table, which forbid any change.
    """
    if image.size < SECTOR:
        raise AmbassadorError(f"no disk image: {image.size} bytes")
    first = image.read(0, SECTOR)
    if first[510:] != b"\x55\xaa" or _is_boot_sector(first) or not (entries := list(_mbr_entries(first))):
        return Table("none", (Partition(0, 0, image.size, ""),))
    if any(kind == _PROTECTIVE for _, kind, _, _ in entries):
        return _checked(Table("gpt", tuple(_gpt(image))), image.size)
    return _checked(Table("mbr", tuple(_mbr(image, entries))), image.size)


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


def _mbr(image: Source, entries: list[tuple[int, int, int, int]]) -> Iterator[Partition]:
    for number, kind, start, count in entries:
        if kind in _EXTENDED:
            continue
        yield Partition(number, start * SECTOR, count * SECTOR, f"{kind:02x}")
    for _, kind, start, _ in entries:
        if kind in _EXTENDED:
            yield from _logical(image, start)
            return


def _logical(image: Source, extended: int) -> Iterator[Partition]:
    """The chain of tables in an extended partition, each with one partition and the place of the next table."""
    at, number, seen = extended, 5, set[int]()
    while at not in seen and len(seen) < _MAX_LOGICAL:
        seen.add(at)
        if (at + 1) * SECTOR > image.size:
            raise AmbassadorError(f"the extended partition goes on at byte {at * SECTOR}, behind the image's end")
        sector = image.read(at * SECTOR, SECTOR)
        if sector[510:] != b"\x55\xaa":
            raise AmbassadorError(f"the extended partition is broken: no partition table at byte {at * SECTOR}")
        following = None
        for _, kind, start, count in _mbr_entries(sector):
            if kind in _EXTENDED:
                following = extended + start
            else:
                yield Partition(number, (at + start) * SECTOR, count * SECTOR, f"{kind:02x}")
                number += 1
        if following is None:
            return
        at = following
    raise AmbassadorError("the extended partition leads in a circle, or has too many partitions")


def _gpt(image: Source) -> Iterator[Partition]:
    for sector in (512, 4096):
        if image.size >= 2 * sector and image.read(sector, 8) == b"EFI PART":
            break
    else:
        raise AmbassadorError(
            "the partition table is a GPT, and its header is missing; repair it with `sgdisk --backup`/`-e`, or gdisk"
        )
    header = image.read(sector, sector)
    length, checksum = struct.unpack_from("<I", header, 12)[0], struct.unpack_from("<I", header, 16)[0]
    if not 92 <= length <= sector or zlib.crc32(header[:16] + bytes(4) + header[20:length]) != checksum:  # noqa: PLR2004 - UEFI 5.3.2
        raise AmbassadorError("the header of the GPT is damaged (its checksum is wrong); repair it with gdisk")
    first, count, size, entries_checksum = struct.unpack_from("<QIII", header, 72)
    if count > _MAX_ENTRIES or size not in _ENTRY_SIZES:
        raise AmbassadorError(f"the GPT has {count} entries of {size} bytes, which cannot be right")
    entries = image.read(first * sector, count * size)
    if zlib.crc32(entries) != entries_checksum:
        raise AmbassadorError("the entries of the GPT are damaged (their checksum is wrong); repair it with gdisk")
    for number in range(count):
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


def _checked(table: Table, size: int) -> Table:
    faults = [
        f"partition {item.number} ends at byte {item.end}, behind the image's end at {size}: truncated image?"
        for item in table.partitions
        if item.end > size or item.size <= 0
    ]
    by_start = sorted(table.partitions, key=lambda item: item.start)
    faults += [
        f"partitions {one.number} and {other.number} overlap"
        for one, other in pairwise(by_start)
        if one.end > other.start
    ]
    return replace(table, faults=tuple(faults))
