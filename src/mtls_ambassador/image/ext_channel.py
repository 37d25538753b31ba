"""A region of an image as the device of a file system of libext2fs: no file is opened, nothing is written to disk."""

import ctypes as c
from typing import Any

from mtls_ambassador.image.ext_library import (
    BLOCKS_32,
    BLOCKS_64,
    MAGIC_CHANNEL,
    MAGIC_MANAGER,
    NOT_IMPLEMENTED,
    OPEN,
    OPTION,
    PLAIN,
    RANGE,
    SET_BLOCK_SIZE,
    STATISTICS,
    Channel,
    Library,
    Manager,
)
from mtls_ambassador.image.overlay import Region
from mtls_ambassador.model.errors import AmbassadorError

_EIO = 5
_SPARE = 64 << 20
"""Bytes that one call may read beside twice the file system: a small one's blocks are read many times."""


class RegionDevice:
    """Callbacks of the library. What goes wrong in one is kept in `error`, because no exception passes through C."""

    def __init__(self, region: Region, library: Library) -> None:
        self._region, self._library = region, library
        self._channel = Channel(magic=MAGIC_CHANNEL, name=b"image", block_size=1024, refcount=1)
        self.error: Exception | None = None
        self.manager = Manager(
            magic=MAGIC_MANAGER,
            name=b"image",
            open=OPEN(self._open),
            close=PLAIN(_done),
            set_block_size=SET_BLOCK_SIZE(self._set_block_size),
            read_32=BLOCKS_32(self._read),
            write_32=BLOCKS_32(self._write),
            flush=PLAIN(_done),
            write_bytes=BLOCKS_32(self._write_bytes),
            set_option=OPTION(_done),
            get_statistics=STATISTICS(_refuse),
            read_64=BLOCKS_64(self._read),
            write_64=BLOCKS_64(self._write),
            discard=RANGE(_refuse),
            read_ahead=RANGE(_done),
            zero=RANGE(self._zero),
        )
        self._channel.manager = c.addressof(self.manager)

    def _open(self, name: bytes, flags: int, result: Any) -> int:  # noqa: ANN401 - a pointer to a pointer
        del name, flags
        result[0] = c.pointer(self._channel)
        return 0

    def _set_block_size(self, channel: object, size: int) -> int:
        del channel
        self._channel.block_size = size
        return 0

    def _bytes(self, count: int) -> int:
        """A negative count is one of bytes."""
        return -count if count < 0 else count * int(self._channel.block_size)

    def _read(self, channel: object, block: int, count: int, data: int) -> int:
        del channel
        if self._library.is_stopped:
            return _EIO
        try:
            length = self._bytes(count)
            self._count(length)
            c.memmove(data, self._region.read(block * self._channel.block_size, length), length)
        except Exception as error:  # noqa: BLE001 - raised by whoever called the library
            return self._keep(error)
        return 0

    def _count(self, length: int) -> None:
        """What refers to itself would be read for ever."""
        self._library.read_bytes += length
        if self._library.read_bytes > 2 * self._region.size + _SPARE:
            raise AmbassadorError("what it says of its blocks leads in a circle: damaged")

    def _write(self, channel: object, block: int, count: int, data: int) -> int:
        del channel
        return self._put(block * self._channel.block_size, c.string_at(data, self._bytes(count)))

    def _write_bytes(self, channel: object, offset: int, count: int, data: int) -> int:
        del channel
        return self._put(offset, c.string_at(data, count))

    def _zero(self, channel: object, block: int, count: int) -> int:
        del channel
        return self._put(block * self._channel.block_size, bytes(count * self._channel.block_size))

    def _put(self, offset: int, data: bytes) -> int:
        if self._library.is_stopped:
            return _EIO
        try:
            self._region.write(offset, data)
        except Exception as error:  # noqa: BLE001 - raised by whoever called the library
            return self._keep(error)
        return 0

    def _keep(self, error: Exception) -> int:
        self.error = self.error or error
        return _EIO


def _done(*args: object) -> int:
    del args
    return 0


def _refuse(*args: object) -> int:
    del args
    return NOT_IMPLEMENTED
