"""A file system of libext2fs in a region of an image: opened when it is needed, its errors told in our words."""

import ctypes as c
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mtls_ambassador.image.entry import Parts, text
from mtls_ambassador.image.ext_channel import RegionDevice
from mtls_ambassador.image.ext_inode import SIZE, InodeData
from mtls_ambassador.image.ext_library import (
    HANDLE,
    NO_BLOCK,
    NO_INODE,
    OPEN_64BITS,
    OPEN_RW,
    UNKNOWN_FEATURES,
    ExtError,
    library,
)
from mtls_ambassador.image.overlay import Region
from mtls_ambassador.image.superblock import Ext
from mtls_ambassador.model.errors import AmbassadorError

_CLOCK = "E2FSPROGS_FAKE_TIME"


class ExtHandle:
    """The library's handle of a file system. `now` is the time it writes, so that the same work gives the same bytes.

    Reading and writing need it opened by `open`; every function raises AmbassadorError unless it says otherwise.
    """

    def __init__(self, region: Region, found: Ext, where: str, now: int) -> None:
        self.region, self.found, self.now = region, found, now
        self.library = library()
        self._where = where
        self._device = RegionDevice(region, self.library)
        self._handle = HANDLE()
        self._is_writable = False

    def open(self, *, to_write: bool) -> None:
        """Open it, if it is not; when it was opened to read and is now to be written to, anew."""
        if self._handle.value and self._is_writable >= to_write:
            return
        self.close()
        self._is_writable = to_write
        flags = OPEN_64BITS | (OPEN_RW if to_write else 0)
        with _clock(self.now):
            manager, handle = c.addressof(self._device.manager), c.byref(self._handle)
            try:
                self.library.call("ext2fs_open", b"image", flags, 0, 0, manager, handle)
            except ExtError as error:
                raise self.told(error, ()) from None
        if to_write:
            self.call((), "ext2fs_read_bitmaps")

    def flush(self) -> None:
        """Keep what was changed, and let go of it."""
        if not self._handle.value:
            return
        try:
            self.library.call("ext2fs_close_free", c.byref(self._handle))
        except ExtError as error:
            raise self.told(error, ()) from None

    def close(self) -> None:
        """Let go of it, without keeping anything."""
        if self._handle.value:
            self.run("ext2fs_free")
            self._handle = HANDLE()

    def attempt(self, name: str, *args: object) -> None:
        """Call a function of the library on it. Raises ExtError."""
        self.library.call(name, self._handle, *args)

    def call(self, path: Parts, name: str, *args: object) -> None:
        """Call a function of the library on it; `path` is what it is about, for messages."""
        with self.telling(path):
            self.attempt(name, *args)

    def run(self, name: str, *args: object) -> None:
        """Call a function of the library on it that returns nothing."""
        self.library.run(name, self._handle, *args)

    def read(self, inode: int) -> InodeData:
        """An inode."""
        data = InodeData()
        self.call((), "ext2fs_read_inode_full", inode, data.buffer, SIZE)
        return data

    def write(self, inode: int, data: InodeData) -> None:
        """Change an inode."""
        self.call((), "ext2fs_write_inode_full", inode, data.buffer, SIZE)

    def at(self, path: Parts) -> str:
        """How a path in it is called in messages."""
        return f"{self._where}: {text(path)}"

    @contextmanager
    def telling(self, path: Parts) -> Iterator[None]:
        """What the library fails with inside is raised as AmbassadorError."""
        try:
            yield
        except ExtError as error:
            raise self.told(error, path) from None

    def told(self, error: ExtError, path: Parts) -> AmbassadorError:
        """What the library failed with, in words that help."""
        if isinstance(self._device.error, AmbassadorError):
            return AmbassadorError(f"{self._where}: {self._device.error}")
        if error.code in {NO_BLOCK, NO_INODE}:
            what = "block" if error.code == NO_BLOCK else "inode"
            return AmbassadorError(f"{self.at(path)}: no room: not one free {what} is left in this file system")
        if error.code in UNKNOWN_FEATURES:
            return AmbassadorError(
                f"{self._where}: has features this machine's e2fsprogs does not know; it must be at least as new as the"
                f" one that made the image (features: {self.found.feature_bits})"
            )
        return AmbassadorError(f"{self.at(path)}: {error}")


@contextmanager
def _clock(now: int) -> Iterator[None]:
    """Have the library take `now` for the time, which it asks for when it opens a file system; 0 it would not take."""
    before = os.environ.get(_CLOCK)
    os.environ[_CLOCK] = str(max(now, 1))
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CLOCK]
        else:
            os.environ[_CLOCK] = before
