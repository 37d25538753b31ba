"""ext2, ext3 and ext4 in a region of an image, through libext2fs of e2fsprogs, in memory.

Differs from driving `debugfs` in this: every failure is told, nothing is quoted, and nothing reaches the image before
all of it has succeeded. Reads do not need a clean file system; the caller refuses to write to one that is not.
"""

import ctypes as c
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from mtls_ambassador.image.entry import Attributes, Entry, Kind, Parts, text
from mtls_ambassador.image.ext_channel import RegionDevice
from mtls_ambassador.image.ext_inode import ENCRYPTED, INLINE, SIZE, InodeData
from mtls_ambassador.image.ext_library import (
    CONTENT_IS_INLINE,
    EACH_ENTRY,
    FILE_ENTRY,
    FILE_WRITE,
    HANDLE,
    INODE,
    NO_BLOCK,
    NO_FILE,
    NO_FOLDER,
    NO_INODE,
    NO_SPACE_IN_FOLDER,
    OPEN_64BITS,
    OPEN_RW,
    UNKNOWN_FEATURES,
    ExtError,
    library,
)
from mtls_ambassador.image.overlay import Region
from mtls_ambassador.image.superblock import Ext
from mtls_ambassador.model.errors import AmbassadorError

_ROOT = 2
_CHUNK = 1 << 20
_ALL = (1 << 64) - 1
_CLOCK = "E2FSPROGS_FAKE_TIME"


class ExtFileSystem:
    """See `FileSystem`. `now` is the time written into what changes, so that the same work gives the same bytes."""

    def __init__(self, region: Region, found: Ext, where: str, now: int) -> None:
        self.type = found.type
        self._found, self._where, self._now = found, where, now
        self._library = library()
        self._device = RegionDevice(region)
        self._handle = HANDLE()
        self._is_writable = False
        self._inodes: dict[Parts, int | None] = {}
        """Found before; forgotten with every change."""

    def entry(self, path: Parts) -> Entry | None:
        """What is there."""
        inode = self._find(path)
        return None if inode is None else self._entry(inode, path[-1] if path else "/")

    def entries(self, path: Parts) -> list[Entry]:
        """What is in a folder."""
        found = self._listed(self._get(path), path)
        return sorted((self._entry(inode, name) for name, inode in found), key=lambda entry: entry.name)

    def chunks(self, path: Parts) -> Iterator[bytes]:
        """A file's content."""
        yield from self._content(self._get(path))

    def content_places(self, path: Parts) -> list[tuple[int, int]]:
        """Offset and length in the region of each piece of a file's content; none when it stands in the inode."""
        inode, size = self._get(path), self._read(self._get(path)).size
        block_size, places = self._found.block_size, []
        for number in range(-(-size // block_size)):
            place, flags = c.c_ulonglong(), c.c_int()
            args = inode, None, None, 0, number, c.byref(flags), c.byref(place)
            try:
                self._library.call("ext2fs_bmap2", self._handle, *args)
            except ExtError as error:
                if error.code == CONTENT_IS_INLINE:
                    return []
                raise self._told(error, path) from None
            if not place.value:
                return []
            places.append((place.value * block_size, min(block_size, size - number * block_size)))
        return places

    def put(self, path: Parts, content: bytes, attributes: Attributes) -> None:
        """Make or replace a file."""
        parent = self._open_folder(path)
        if (old := self._find(path)) is not None:
            if self._read(old).kind is Kind.FOLDER:
                raise AmbassadorError(f"{self._at(path)} is a folder, and is not replaced by a file")
            self._unlink(parent, path, old)
        inode = INODE()
        self._call(path, "ext2fs_new_inode", parent, stat.S_IFREG, None, c.byref(inode))
        self._link(path, "ext2fs_link", parent, os.fsencode(path[-1]), inode, FILE_ENTRY)
        self._library.run("ext2fs_inode_alloc_stats2", self._handle, inode, 1, 0)
        data = InodeData()
        data.make(stat.S_IFREG, attributes, len(content), INLINE if self._found.has_inline_data else 0)
        if self._found.has_extents and not self._found.has_inline_data:
            tree = HANDLE()
            self._call(path, "ext2fs_extent_open2", inode, data.buffer, c.byref(tree))
            self._library.run("ext2fs_extent_free", tree)
        self._call(path, "ext2fs_write_new_inode", inode, data.buffer)
        if self._found.has_inline_data:
            self._call(path, "ext2fs_inline_data_init", inode)
        self._fill(path, inode, content)

    def make_folder(self, path: Parts, attributes: Attributes) -> None:
        """Make a folder."""
        parent = self._open_folder(path)
        if self._find(path) is not None:
            raise AmbassadorError(f"{self._at(path)} is there already")
        self._link(path, "ext2fs_mkdir", parent, 0, os.fsencode(path[-1]))
        inode = self._get(path)
        data = self._read(inode)
        data.set_attributes(stat.S_IFDIR, attributes)
        self._write(inode, data)

    def remove(self, path: Parts) -> None:
        """Remove a file, a link, or a folder with all in it."""
        inode = self._get(path)
        if not path:
            raise AmbassadorError(f"{self._at(path)} is the root folder, and is not removed")
        if self._read(inode).kind is Kind.FOLDER:
            for name, _ in self._listed(inode, path):
                self.remove((*path, name))
        self._unlink(self._open_folder(path), path, inode)

    def flush(self) -> None:
        """Keep what was changed."""
        try:
            self._library.call("ext2fs_close_free", c.byref(self._handle))
        except ExtError as error:
            raise self._told(error, ()) from None

    def close(self) -> None:
        """Let go of it, without keeping anything."""
        if self._handle.value:
            self._library.run("ext2fs_free", self._handle)
            self._handle = HANDLE()

    def _at(self, path: Parts) -> str:
        return f"{self._where}: {text(path)}"

    def _told(self, error: ExtError, path: Parts) -> AmbassadorError:
        if isinstance(self._device.error, AmbassadorError):
            return AmbassadorError(f"{self._where}: {self._device.error}")
        if error.code in {NO_BLOCK, NO_INODE}:
            what = "block" if error.code == NO_BLOCK else "inode"
            return AmbassadorError(f"{self._at(path)}: no room: not one free {what} is left in this file system")
        if error.code in UNKNOWN_FEATURES:
            return AmbassadorError(
                f"{self._where}: has features this machine's e2fsprogs does not know; it must be at least as new as the"
                f" one that made the image (features: {self._found.feature_bits})"
            )
        return AmbassadorError(f"{self._at(path)}: {error}")

    def _call(self, path: Parts, name: str, *args: object) -> None:
        try:
            self._library.call(name, self._handle, *args)
        except ExtError as error:
            raise self._told(error, path) from None

    def _open(self, *, to_write: bool) -> None:
        if self._handle.value and self._is_writable >= to_write:
            return
        self.close()
        self._is_writable = to_write
        flags = OPEN_64BITS | (OPEN_RW if to_write else 0)
        with _clock(self._now):
            manager, handle = c.addressof(self._device.manager), c.byref(self._handle)
            try:
                self._library.call("ext2fs_open", b"image", flags, 0, 0, manager, handle)
            except ExtError as error:
                raise self._told(error, ()) from None
        if to_write:
            self._call((), "ext2fs_read_bitmaps")

    def _find(self, path: Parts) -> int | None:
        self._open(to_write=False)
        if not path:
            return _ROOT
        if path not in self._inodes:
            parent = self._find(path[:-1])
            self._inodes[path] = None if parent is None else self._look_up(parent, path)
        return self._inodes[path]

    def _look_up(self, parent: int, path: Parts) -> int | None:
        name, found = os.fsencode(path[-1]), INODE()
        try:
            self._library.call("ext2fs_lookup", self._handle, parent, name, len(name), None, c.byref(found))
        except ExtError as error:
            if error.code in {NO_FILE, NO_FOLDER}:
                return None
            raise self._told(error, path) from None
        return found.value

    def _get(self, path: Parts) -> int:
        inode = self._find(path)
        if inode is None:
            raise AmbassadorError(f"{self._at(path)} is not there")
        return inode

    def _open_folder(self, path: Parts) -> int:
        """The folder in which something is about to change, opened for that."""
        self._open(to_write=True)
        inode = self._get(path[:-1])
        data = self._read(inode)
        if data.kind is not Kind.FOLDER:
            raise AmbassadorError(f"{self._at(path[:-1])} is no folder")
        if data.flags & ENCRYPTED:
            raise AmbassadorError(
                f"{self._at(path[:-1])} is encrypted (fscrypt): nothing can be put there from outside"
            )
        data.touch(self._now)
        self._write(inode, data)
        return inode

    def _read(self, inode: int) -> InodeData:
        data = InodeData()
        self._call((), "ext2fs_read_inode_full", inode, data.buffer, SIZE)
        return data

    def _write(self, inode: int, data: InodeData) -> None:
        self._call((), "ext2fs_write_inode_full", inode, data.buffer, SIZE)

    def _entry(self, inode: int, name: str) -> Entry:
        data = self._read(inode)
        target = ""
        if data.kind is Kind.LINK:
            small = data.small_target
            target = os.fsdecode(b"".join(self._content(inode)) if small is None else small)
        return Entry(name, data.kind, data.mode, data.uid, data.gid, data.size, data.mtime, target)

    def _listed(self, inode: int, path: Parts) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []

        def take(*args: int) -> int:
            entry = args[2]
            number, name_length = c.c_uint32.from_address(entry).value, c.c_uint8.from_address(entry + 6).value
            name = c.string_at(entry + 8, name_length)
            if name not in {b".", b".."}:
                found.append((os.fsdecode(name), number))
            return 0

        if self._read(inode).kind is not Kind.FOLDER:
            raise AmbassadorError(f"{self._at(path)} is no folder")
        self._call(path, "ext2fs_dir_iterate2", inode, 0, None, EACH_ENTRY(take), None)
        return found

    def _content(self, inode: int) -> Iterator[bytes]:
        size = self._read(inode).size
        if size > self._found.size:  # by which a damaged inode would have us write zeros for years
            raise AmbassadorError(
                f"{self._where}: inode {inode} has {size} bytes, more than its file system: damaged, or mostly a hole"
            )
        length = max(1, min(size, _CHUNK))
        file, buffer, count = HANDLE(), c.create_string_buffer(length), c.c_uint()
        self._call((), "ext2fs_file_open", inode, 0, c.byref(file))
        try:
            while True:
                self._library.call("ext2fs_file_read", file, buffer, length, c.byref(count))
                if not count.value:
                    return
                yield c.string_at(buffer, count.value)
        except ExtError as error:
            raise self._told(error, ()) from None
        finally:
            self._library.call("ext2fs_file_close", file)

    def _fill(self, path: Parts, inode: INODE, content: bytes) -> None:
        file, count = HANDLE(), c.c_uint()
        self._call(path, "ext2fs_file_open", inode, FILE_WRITE, c.byref(file))
        try:
            for begin in range(0, len(content), _CHUNK):
                chunk = content[begin : begin + _CHUNK]
                self._library.call("ext2fs_file_write", file, chunk, len(chunk), c.byref(count))
                if count.value != len(chunk):
                    raise AmbassadorError(f"{self._at(path)}: no room for all of it")
            self._library.call("ext2fs_file_close", file)
        except ExtError as error:
            raise self._told(error, path) from None

    def _link(self, path: Parts, name: str, parent: int, *args: object) -> None:
        """Call a function that makes an entry in a folder; once more with a larger folder when this is full."""
        self._inodes.clear()
        try:
            self._library.call(name, self._handle, parent, *args)
        except ExtError as error:
            if error.code != NO_SPACE_IN_FOLDER:
                raise self._told(error, path) from None
            self._call(path, "ext2fs_expand_dir", parent)
            self._call(path, name, parent, *args)

    def _unlink(self, parent: int, path: Parts, inode: int) -> None:
        """Take the name away, and free what was under it when that was its last."""
        self._inodes.clear()
        self._call(path, "ext2fs_unlink", parent, os.fsencode(path[-1]), inode, 0)
        data = self._read(inode)
        is_folder = data.kind is Kind.FOLDER
        if is_folder:
            above = self._read(parent)
            above.links -= 1 if above.links > 1 else 0
            self._write(parent, above)
        elif data.links > 1:
            data.links -= 1
            data.touch(self._now)
            self._write(inode, data)
            return
        data.bury(self._now)
        self._call(path, "ext2fs_free_ext_attr", inode, data.buffer)
        if not data.flags & INLINE and (data.kind in {Kind.FILE, Kind.FOLDER} or data.small_target is None):
            self._call(path, "ext2fs_punch", inode, data.buffer, None, 0, _ALL)
        self._library.run("ext2fs_inode_alloc_stats2", self._handle, inode, -1, int(is_folder))
        self._write(inode, data)


@contextmanager
def _clock(now: int) -> Iterator[None]:
    """Have the library take `now` for the time, which it asks for when it opens a file system."""
    before = os.environ.get(_CLOCK)
    os.environ[_CLOCK] = str(now)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CLOCK]
        else:
            os.environ[_CLOCK] = before
