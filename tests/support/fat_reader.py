"""FAT12, FAT16 and FAT32 read by their specification alone, to have another opinion than that of mtools."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mtls_ambassador.flows.read_image import image_to_read
from mtls_ambassador.image.entry import Kind
from support.image_model import parts
from support.images import check_fat

_LONG, _LABEL, _FOLDER = 0x0F, 0x08, 0x10
_ENTRY = 32
_END = {12: 0xFF8, 16: 0xFFF8, 32: 0xFFFFFF8}


@dataclass(frozen=True, slots=True)
class FatEntry:
    """A file with its content, or a folder."""

    is_folder: bool
    mtime: int
    content: bytes = b""


class Fat:
    """The bytes of one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        sector, per_cluster, reserved, copies, roots, small = struct.unpack_from("<HBHBHH", data, 11)
        sectors_per_fat = struct.unpack_from("<H", data, 22)[0] or struct.unpack_from("<I", data, 36)[0]
        sectors = small or struct.unpack_from("<I", data, 32)[0]
        self._fat = reserved * sector
        self._root, self._root_size = self._fat + copies * sectors_per_fat * sector, roots * _ENTRY
        self._clusters, self._cluster = self._root + self._root_size, per_cluster * sector
        count = (sectors * sector - self._clusters) // self._cluster
        self.bits = 12 if count < 4085 else 16 if count < 65525 else 32
        fats = [data[self._fat + n * sectors_per_fat * sector :][: sectors_per_fat * sector] for n in range(copies)]
        assert all(fat == fats[0] for fat in fats)

    def tree(self) -> dict[str, FatEntry]:
        """Everything in it, by path."""
        root = self._data[self._root :][: self._root_size]
        if self.bits == 32:
            root = self._chain(struct.unpack_from("<I", self._data, 44)[0])
        return dict(self._walk(root, ""))

    def _walk(self, folder: bytes, path: str) -> Iterator[tuple[str, FatEntry]]:
        long = ""
        for at in range(0, len(folder), _ENTRY):
            entry = folder[at : at + _ENTRY]
            if entry[0] == 0:
                return
            if entry[0] == 0xE5 or entry[11] == _LONG:
                long = _part(entry) + long if entry[0] != 0xE5 else ""
                continue
            name, long = long or _short(entry), ""
            if entry[11] & _LABEL or name in {".", ".."}:
                continue
            high, time, date, low, size = struct.unpack_from("<HHHHI", entry, 20)
            content = self._chain(high << 16 | low) if low or high else b""
            is_folder = bool(entry[11] & _FOLDER)
            assert is_folder or len(content) - self._cluster < size <= len(content) or not size
            yield path + name, FatEntry(is_folder, _time(date, time), b"" if is_folder else content[:size])
            if is_folder:
                yield from self._walk(content, f"{path}{name}/")

    def _chain(self, cluster: int) -> bytes:
        found = b""
        while 2 <= cluster < _END[self.bits]:
            begin = self._clusters + (cluster - 2) * self._cluster
            found += self._data[begin : begin + self._cluster]
            cluster = self._next(cluster)
        return found

    def _next(self, cluster: int) -> int:
        if self.bits == 12:
            pair = int(struct.unpack_from("<H", self._data, self._fat + cluster * 3 // 2)[0])
            return pair >> 4 if cluster % 2 else pair & 0xFFF
        form, size, mask = ("<H", 2, 0xFFFF) if self.bits == 16 else ("<I", 4, 0xFFFFFFF)
        return int(struct.unpack_from(form, self._data, self._fat + cluster * size)[0]) & mask


def _part(entry: bytes) -> str:
    raw = entry[1:11] + entry[14:26] + entry[28:32]
    return raw.decode("utf-16-le").split("\0")[0].rstrip("\uffff")


def _short(entry: bytes) -> str:
    """With the letters in lower case where Windows NT marks them so."""
    stem, suffix = entry[:8].decode("cp850").rstrip(), entry[8:11].decode("cp850").rstrip()
    stem = stem.lower() if entry[12] & 0x08 else stem
    suffix = suffix.lower() if entry[12] & 0x10 else suffix
    return f"{stem}.{suffix}" if suffix else stem


def _time(date: int, time: int) -> int:
    day = datetime(1980 + (date >> 9), date >> 5 & 15, date & 31, tzinfo=UTC)
    return int(day.timestamp()) + (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2


def fat_tree(image: Path, offset: int = 0, size: int | None = None) -> dict[str, FatEntry]:
    """Everything in the FAT in a part of an image."""
    with image.open("rb") as file:
        file.seek(offset)
        return Fat(file.read(-1 if size is None else size)).tree()


def read_fat(image: Path) -> dict[str, FatEntry]:
    """By the specification, and by us; the checker has no complaint."""
    check_fat(image, 0, image.stat().st_size)
    tree = fat_tree(image)
    with image_to_read(image) as opened:
        system = opened.system(opened.volumes[0])
        for path, seen in tree.items():
            entry = system.entry(parts(path))
            assert entry is not None
            assert entry in system.entries(parts(path)[:-1])
            assert (entry.kind is Kind.FOLDER, entry.mtime) == (seen.is_folder, seen.mtime // 60 * 60)
            assert seen.is_folder or b"".join(system.chunks(parts(path))) == seen.content
    return tree
