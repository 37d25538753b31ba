"""Contents of files in ext2, ext3 and ext4, read and written through libext2fs."""

import ctypes as c
from collections.abc import Iterator
from contextlib import contextmanager

from mtls_ambassador.image.entry import Parts
from mtls_ambassador.image.ext_handle import ExtHandle
from mtls_ambassador.image.ext_library import CONTENT_IS_INLINE, FILE_WRITE, HANDLE, ExtError
from mtls_ambassador.model.errors import AmbassadorError

_CHUNK = 1 << 20


def read_content(handle: ExtHandle, inode: int, path: Parts) -> Iterator[bytes]:
    """A file's content, or a link's target, part by part; holes are zeros."""
    left = handle.read(inode).size
    if left > handle.found.size:  # by which a damaged inode would have us write zeros for years
        raise AmbassadorError(
            f"{handle.at(path)} has {left} bytes, more than its file system: damaged, or mostly a hole"
        )
    length = max(1, min(left, _CHUNK))
    buffer, count = c.create_string_buffer(length), c.c_uint()
    with _opened(handle, inode, 0, path) as file:
        while left:
            handle.library.call("ext2fs_file_read", file, buffer, length, c.byref(count))
            if not count.value:
                raise AmbassadorError(f"{handle.at(path)}: {left} bytes at its end are missing: damaged")
            some = min(count.value, left)  # what stands in an inode is read with its padding
            yield c.string_at(buffer, some)
            left -= some


def write_content(handle: ExtHandle, inode: int, content: bytes, path: Parts) -> None:
    """Fill an empty file."""
    count = c.c_uint()
    with _opened(handle, inode, FILE_WRITE, path) as file:
        for begin in range(0, len(content), _CHUNK):
            chunk = content[begin : begin + _CHUNK]
            handle.library.call("ext2fs_file_write", file, chunk, len(chunk), c.byref(count))
            if count.value != len(chunk):
                raise AmbassadorError(f"{handle.at(path)}: no room for all of it")


def content_places(handle: ExtHandle, inode: int, path: Parts) -> list[tuple[int, int]]:
    """Offset and length of each piece of a file's content; none when it stands in the inode, or has holes."""
    size, block_size = handle.read(inode).size, handle.found.block_size
    places = []
    for number in range(-(-size // block_size)):
        place, flags = c.c_ulonglong(), c.c_int()
        try:
            handle.attempt("ext2fs_bmap2", inode, None, None, 0, number, c.byref(flags), c.byref(place))
        except ExtError as error:
            if error.code == CONTENT_IS_INLINE:
                return []
            raise handle.told(error, path) from None
        if not place.value:
            return []
        places.append((place.value * block_size, min(block_size, size - number * block_size)))
    return places


@contextmanager
def _opened(handle: ExtHandle, inode: int, flags: int, path: Parts) -> Iterator[HANDLE]:
    file = HANDLE()
    handle.call(path, "ext2fs_file_open", inode, flags, c.byref(file))
    with handle.telling(path):
        try:
            yield file
        finally:  # writes the last block, and lets go of it whether that goes well or not
            handle.library.call("ext2fs_file_close", file)
