"""ext2, ext3 and ext4 in a region of an image, through libext2fs of e2fsprogs, in memory.

Differs from driving `debugfs` in this: every failure is told, nothing is quoted, and nothing reaches the image before
all of it has succeeded. Reads do not need a clean file system; the caller refuses to write to one that is not.
"""

import ctypes as c
import os
import stat
from collections.abc import Iterator

from mtls_ambassador.image.entry import Attributes, Entry, Kind, Parts
from mtls_ambassador.image.ext_attributes import free_attributes
from mtls_ambassador.image.ext_blocks import free_blocks
from mtls_ambassador.image.ext_content import content_places, read_content, write_content
from mtls_ambassador.image.ext_handle import ExtHandle
from mtls_ambassador.image.ext_inode import CASEFOLD, ENCRYPTED, INLINE, InodeData
from mtls_ambassador.image.ext_library import (
    EACH_ENTRY,
    FILE_ENTRY,
    HANDLE,
    INODE,
    ITERATE_ABORT,
    NO_FILE,
    NO_FOLDER,
    NO_SPACE_IN_FOLDER,
    ExtError,
)
from mtls_ambassador.image.overlay import Region
from mtls_ambassador.image.superblock import Ext
from mtls_ambassador.model.errors import AmbassadorError

_ROOT = 2
_LONGEST_TARGET = 4096
"""Bytes of a link's target, as Linux has it (PATH_MAX)."""


class ExtFileSystem:
    """See `FileSystem`. `now` is the time written into what changes, so that the same work gives the same bytes."""

    def __init__(self, region: Region, found: Ext, where: str, now: int) -> None:
        self.type = found.type
        self._found, self._now = found, now
        self._handle = ExtHandle(region, found, where, now)
        self._inodes: dict[Parts, int | None] = {}
        """Found before."""

    def entry(self, path: Parts) -> Entry | None:
        """What is there."""
        inode = self._find(path)
        return None if inode is None else self._entry(inode, path[-1] if path else "/", path)

    def entries(self, path: Parts) -> list[Entry]:
        """What is in a folder."""
        inode = self._get(path)
        self._refuse_encrypted(inode, path)
        found = self._listed(inode, path)
        return sorted((self._entry(inode, name, (*path, name)) for name, inode in found), key=lambda entry: entry.name)

    def chunks(self, path: Parts) -> Iterator[bytes]:
        """A file's content."""
        yield from read_content(self._handle, self._get(path), path)

    def content_places(self, path: Parts) -> list[tuple[int, int]]:
        """Offset and length in the region of each piece of a file's content; none when it stands in the inode."""
        return content_places(self._handle, self._get(path), path)

    def put(self, path: Parts, content: bytes, attributes: Attributes) -> None:
        """Make or replace a file."""
        parent = self._open_folder(path)
        if (old := self._find(path)) is not None:
            if self._handle.read(old).kind is Kind.FOLDER:
                raise AmbassadorError(f"{self._handle.at(path)} is a folder, and is not replaced by a file")
            self._unlink(parent, path[-1], old, path)
        inode = INODE()
        self._handle.call(path, "ext2fs_new_inode", parent, stat.S_IFREG, None, c.byref(inode))
        self._link(path, "ext2fs_link", parent, os.fsencode(path[-1]), inode, FILE_ENTRY)
        self._handle.run("ext2fs_inode_alloc_stats2", inode, 1, 0)
        self._make_file(inode.value, path, content, attributes)

    def _make_file(self, inode: int, path: Parts, content: bytes, attributes: Attributes) -> None:
        # The library moves what is too long for an inode into blocks by itself, but overruns a buffer of its own with
        # what is longer than three blocks.
        is_inline = self._found.has_inline_data and len(content) < self._found.block_size
        data = InodeData()
        data.make(stat.S_IFREG, attributes, len(content), INLINE if is_inline else 0)
        if self._found.has_extents and not is_inline:
            tree = HANDLE()
            self._handle.call(path, "ext2fs_extent_open2", inode, data.buffer, c.byref(tree))
            self._handle.library.run("ext2fs_extent_free", tree)
        self._handle.call(path, "ext2fs_write_new_inode", inode, data.buffer)
        self._set_attributes(inode, stat.S_IFREG, attributes)
        if is_inline:
            self._handle.call(path, "ext2fs_inline_data_init", inode)
        write_content(self._handle, inode, content, path)

    def make_folder(self, path: Parts, attributes: Attributes) -> None:
        """Make a folder."""
        parent = self._open_folder(path)
        if self._find(path) is not None:
            raise AmbassadorError(f"{self._handle.at(path)} is there already")
        self._link(path, "ext2fs_mkdir", parent, 0, os.fsencode(path[-1]))
        self._set_attributes(self._get(path), stat.S_IFDIR, attributes)

    def _set_attributes(self, inode: int, kind: int, attributes: Attributes) -> None:
        """With those parts of the times for which there is room only once the library has made the inode."""
        data = self._handle.read(inode)
        data.set_attributes(kind, attributes)
        self._handle.write(inode, data)

    def set_permissions(self, path: Parts, attributes: Attributes) -> None:
        """Set mode and owner of what is there."""
        self._handle.open(to_write=True)
        inode = self._get(path)
        data = self._handle.read(inode)
        data.set_permissions(attributes)
        data.touch_inode(self._now)
        self._handle.write(inode, data)

    def remove(self, path: Parts) -> None:
        """Remove a file, a link, or a folder with all in it."""
        inode = self._get(path)
        if not path:
            raise AmbassadorError(f"{self._handle.at(path)} is the root folder, and is not removed")
        parent = self._open_folder(path)
        self._inodes.clear()
        for above, name, below in reversed(self._tree(parent, path, inode)):
            self._unlink(above, name, below, path)

    def _tree(self, parent: int, path: Parts, inode: int) -> list[tuple[int, str, int]]:
        """A file, or a folder with all in it: folder, name and inode of each, what is in a folder behind that."""
        found, ahead, folders = list[tuple[int, str, int]](), [(parent, path[-1], inode)], set[int]()
        while ahead:
            above, _, below = step = ahead.pop()
            found.append(step)
            if self._handle.read(below).kind is not Kind.FOLDER:
                continue
            if below in folders or below == above:
                raise AmbassadorError(f"{self._handle.at(path)}: a folder is in it twice: damaged")
            folders.add(below)
            ahead += [(below, name, number) for name, number in self._listed(below, path)]
        return found

    def flush(self) -> None:
        """Keep what was changed."""
        self._handle.flush()

    def close(self) -> None:
        """Let go of it, without keeping anything."""
        self._handle.close()

    def _find(self, path: Parts) -> int | None:
        self._handle.open(to_write=False)
        known = next((depth for depth in range(len(path), 0, -1) if path[:depth] in self._inodes), 0)
        inode: int | None = self._inodes[path[:known]] if known else _ROOT
        for depth in range(known + 1, len(path) + 1):
            if inode is None:
                self._inodes[path] = None
                return None
            here = path[:depth]
            inode = self._inodes[here] = self._look_up(inode, here)
        return inode

    def _look_up(self, parent: int, path: Parts) -> int | None:
        self._refuse_encrypted(parent, path[:-1])
        name, found = os.fsencode(path[-1]), INODE()
        try:
            self._handle.attempt("ext2fs_lookup", parent, name, len(name), None, c.byref(found))
        except ExtError as error:
            if error.code in {NO_FILE, NO_FOLDER}:
                return None
            raise self._handle.told(error, path) from None
        return found.value

    def _get(self, path: Parts) -> int:
        inode = self._find(path)
        if inode is None:
            raise AmbassadorError(f"{self._handle.at(path)} is not there")
        return inode

    def _refuse_encrypted(self, inode: int, path: Parts) -> None:
        """Names and contents in such a folder are not what they seem without its key."""
        if self._found.has_encryption and self._handle.read(inode).flags & ENCRYPTED:
            raise AmbassadorError(
                f"{self._handle.at(path)} is encrypted (fscrypt): it cannot be looked into from outside"
            )

    def _open_folder(self, path: Parts) -> int:
        """The folder in which something is about to change, opened for that."""
        self._handle.open(to_write=True)
        inode = self._get(path[:-1])
        data = self._handle.read(inode)
        if data.kind is not Kind.FOLDER:
            raise AmbassadorError(f"{self._handle.at(path[:-1])} is no folder")
        self._refuse_encrypted(inode, path[:-1])
        if data.flags & CASEFOLD:
            raise AmbassadorError(
                f"{self._handle.at(path[:-1])} takes upper and lower case for the same (casefold): only the kernel"
                " can write to it"
            )
        data.touch(self._now)
        self._handle.write(inode, data)
        return inode

    def _entry(self, inode: int, name: str, path: Parts) -> Entry:
        data = self._handle.read(inode)
        target = b""
        if data.kind is Kind.LINK:
            if data.size > _LONGEST_TARGET:
                raise AmbassadorError(f"{self._handle.at(path)} is a link to a path of {data.size} bytes: damaged")
            small = data.small_target
            target = b"".join(read_content(self._handle, inode, path)) if small is None else small
        return Entry(name, data.kind, data.mode, data.uid, data.gid, data.size, data.mtime, os.fsdecode(target))

    def _listed(self, inode: int, path: Parts) -> list[tuple[str, int]]:
        found, twice = dict[str, int](), list[str]()

        def take(*args: int) -> int:
            entry = args[2]
            number, name_length = c.c_uint32.from_address(entry).value, c.c_uint8.from_address(entry + 6).value
            name = os.fsdecode(c.string_at(entry + 8, name_length))
            if name in found:  # a folder whose blocks lead in a circle has no end
                twice.append(name)
                return ITERATE_ABORT
            if name not in {".", ".."}:
                found[name] = number
            return 0

        if self._handle.read(inode).kind is not Kind.FOLDER:
            raise AmbassadorError(f"{self._handle.at(path)} is no folder")
        self._handle.call(path, "ext2fs_dir_iterate2", inode, 0, None, EACH_ENTRY(take), None)
        if twice:
            raise AmbassadorError(f"{self._handle.at((*path, twice[0]))} is in its folder twice: damaged")
        return list(found.items())

    def _link(self, path: Parts, name: str, parent: int, *args: object) -> None:
        """Call a function that makes an entry in a folder; once more with a larger folder when this is full."""
        self._inodes.pop(path, None)
        try:
            self._handle.attempt(name, parent, *args)
        except ExtError as error:
            if error.code != NO_SPACE_IN_FOLDER:
                raise self._handle.told(error, path) from None
            self._handle.call(path, "ext2fs_expand_dir", parent)
            self._handle.call(path, name, parent, *args)

    def _unlink(self, parent: int, name: str, inode: int, path: Parts) -> None:
        """Take the name away, and free what was under it when that was its last."""
        self._handle.call(path, "ext2fs_unlink", parent, os.fsencode(name), inode, 0)
        data = self._handle.read(inode)
        is_folder = data.kind is Kind.FOLDER
        if is_folder:
            above = self._handle.read(parent)
            above.links -= 1 if above.links > 1 else 0
            self._handle.write(parent, above)
        elif data.links > 1:
            data.links -= 1
            data.touch_inode(self._now)
            self._handle.write(inode, data)
            return
        self._free(inode, path)

    def _free(self, inode: int, path: Parts) -> None:
        """An inode that has no name any more, and what belongs to it."""
        free_attributes(self._handle, inode, path)
        data = self._handle.read(inode)
        data.bury(self._now)
        if not data.flags & INLINE and (data.kind in {Kind.FILE, Kind.FOLDER} or data.small_target is None):
            free_blocks(self._handle, inode, path)
        self._handle.run("ext2fs_inode_alloc_stats2", inode, -1, int(data.kind is Kind.FOLDER))
        self._handle.write(inode, data)
