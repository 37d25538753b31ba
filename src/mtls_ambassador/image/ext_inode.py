"""An inode of ext2/3/4 as the library hands it over: 128 bytes, or more where the file system has larger ones.

Offsets are those of `struct ext2_inode_large` (Documentation/filesystems/ext4/inodes.rst in Linux), in host order.
"""

import ctypes as c
import stat
import struct

from mtls_ambassador.image.entry import Attributes, Kind

SIZE = 256
"""Bytes read and written: what is larger holds attributes that are not looked at here."""
_OLD_SIZE = 128
ENCRYPTED, EXTENTS, INLINE, CASEFOLD = 0x800, 0x80000, 0x10000000, 0x40000000
_EPOCH_BITS = 0x3
_LAST_TIME = (1 << 31) - 1
"""In an inode without room for more, as Linux has it: in 2038."""
_FIRST_DELETION = 1 << 28
"""A smaller one (before July 1978) e2fsck takes for the number of another inode."""
_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.FOLDER, stat.S_IFLNK: Kind.LINK}


class InodeData:
    """The bytes of one inode, with its fields."""

    def __init__(self) -> None:
        self.buffer = c.create_string_buffer(SIZE)

    def _get(self, form: str, offset: int) -> int:
        return int(struct.unpack_from(f"={form}", self.buffer, offset)[0])

    def _set(self, form: str, offset: int, value: int) -> None:
        struct.pack_into(f"={form}", self.buffer, offset, value)

    @property
    def kind(self) -> Kind:
        """What it is."""
        return _KINDS.get(stat.S_IFMT(self._get("H", 0)), Kind.OTHER)

    @property
    def mode(self) -> int:
        """Permission bits."""
        return stat.S_IMODE(self._get("H", 0))

    @property
    def uid(self) -> int:
        """All 32 bits."""
        return self._get("H", 2) | self._get("H", 120) << 16

    @property
    def gid(self) -> int:
        """All 32 bits."""
        return self._get("H", 24) | self._get("H", 122) << 16

    @property
    def size(self) -> int:
        """Bytes."""
        high = self._get("I", 108) if self.kind is Kind.FILE else 0
        return self._get("I", 4) | high << 32

    @property
    def flags(self) -> int:
        """Such as ENCRYPTED."""
        return self._get("I", 32)

    @property
    def mtime(self) -> int:
        """Seconds since 1970: 34 bits where the inode has room for them."""
        low = struct.unpack_from("=i", self.buffer, 16)[0]
        return int(low) + ((self._get("I", 136) & _EPOCH_BITS) << 32 if self._has(140) else 0)

    @property
    def links(self) -> int:
        """Names it has."""
        return self._get("H", 26)

    @links.setter
    def links(self, count: int) -> None:
        self._set("H", 26, count)

    @property
    def small_target(self) -> bytes | None:
        """Where a link leads if that stands in the inode itself (fewer than 60 bytes)."""
        is_here = self.size < 60 and not self.flags & (EXTENTS | INLINE)  # noqa: PLR2004 - bytes of i_block
        return self.buffer.raw[40 : 40 + self.size] if is_here else None

    def _has(self, end: int) -> bool:
        return self._get("H", 128) + _OLD_SIZE >= end

    def make(self, kind: int, attributes: Attributes, size: int, flags: int) -> None:
        """Make it a new one; `kind` is such as stat.S_IFREG."""
        self.set_attributes(kind, attributes)
        self._set("I", 4, size & 0xFFFFFFFF)
        self._set("I", 108, size >> 32)
        self._set("I", 32, flags)
        self.links = 1

    def set_attributes(self, kind: int, attributes: Attributes) -> None:
        """Set kind, mode, owner and times."""
        self._set("H", 0, kind)
        self.set_permissions(attributes)
        self._set_time(8, 140, attributes.mtime)
        self.touch(attributes.mtime)

    def set_permissions(self, attributes: Attributes) -> None:
        """Set mode and owner."""
        self._set("H", 0, stat.S_IFMT(self._get("H", 0)) | attributes.mode)
        for low, high, value in ((2, 120, attributes.uid), (24, 122, attributes.gid)):
            self._set("H", low, value & 0xFFFF)
            self._set("H", high, value >> 16)

    def touch(self, now: int) -> None:
        """Set the times of change, of content and inode."""
        self.touch_inode(now)
        self._set_time(16, 136, now)

    def touch_inode(self, now: int) -> None:
        """Set the time of change of the inode alone."""
        self._set_time(12, 132, now)

    def _set_time(self, offset: int, extra: int, time: int) -> None:
        if not self._has(extra + 4):
            self._set("i", offset, min(time, _LAST_TIME))
            return
        low = time & 0xFFFFFFFF
        signed = low - (1 << 32) if low >= 1 << 31 else low
        self._set("I", offset, low)
        self._set("I", extra, (time - signed) >> 32 & _EPOCH_BITS)

    def bury(self, now: int) -> None:
        """Mark it deleted: no name, and when."""
        self.links = 0
        self._set("I", 20, max(now, _FIRST_DELETION) & 0xFFFFFFFF)
