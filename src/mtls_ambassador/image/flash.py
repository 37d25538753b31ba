"""Writing a whole image to a disk, and reading it back."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from mtls_ambassador.image.mapped import Mapped
from mtls_ambassador.image.overlay import Overlay, RawFile, copy_range
from mtls_ambassador.image.progress import Progress
from mtls_ambassador.image.target import Disk, refuse_other
from mtls_ambassador.model.errors import AmbassadorError

_BLKZEROOUT = 0x127F
_BLKFLSBUF = 0x1261
_CHUNK = 4 << 20
Part = tuple[int, int]
"""Offset and length, in bytes."""


@contextmanager
def exclusive(disk: Disk) -> Iterator[int]:
    """A block device, which the system gives to nobody else meanwhile, and not at all while it is mounted.

    Raises AmbassadorError when it is no longer the one that was looked at.
    """
    try:
        descriptor = os.open(disk.path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        raise AmbassadorError(f"{disk.path}: {error.strerror}; is it in use?") from error
    try:
        refuse_other(disk, descriptor)
        yield descriptor
    except OSError as error:
        raise AmbassadorError(f"{disk.path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def write_image(descriptor: int, image: RawFile, mapped: Mapped, on_progress: Progress) -> list[Part]:
    """Write an image to a disk; returns the parts that were written.

    With a block map beside it those in the map, as bmaptool does. Without one all of it: where it has holes, zeros,
    since the disk holds something else there.
    """
    at = 0
    for offset, length in mapped.parts:
        if mapped.bmap is None:
            _zero(descriptor, at, offset - at)
        for begin in range(offset, offset + length, _CHUNK):
            count = min(_CHUNK, offset + length - begin)
            copy_range(image.descriptor, descriptor, begin, begin, count)
            on_progress("write", begin + count, image.size)
        at = offset + length
    if mapped.bmap is None:
        _zero(descriptor, at, image.size - at)
    os.fsync(descriptor)
    return mapped.parts if mapped.bmap is not None else [(0, image.size)]


def _zero(descriptor: int, start: int, length: int) -> None:
    if not length:
        return
    try:
        fcntl.ioctl(descriptor, _BLKZEROOUT, struct.pack("=QQ", start, length))
    except OSError:
        for begin in range(start, start + length, _CHUNK):
            os.pwrite(descriptor, bytes(min(_CHUNK, start + length - begin)), begin)


def forget_cached(descriptor: int) -> None:
    """So that what is read back comes from the disk, where the system lets us ask for that."""
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        fcntl.ioctl(descriptor, _BLKFLSBUF)
    except OSError:
        return


def compare(found: RawFile, wanted: Overlay, parts: list[Part], on_progress: Progress) -> None:
    """Raises AmbassadorError unless the disk holds in these parts what it should."""
    for offset, length in parts:
        for begin in range(offset, offset + length, _CHUNK):
            count = min(_CHUNK, offset + length - begin)
            if found.read(begin, count) != wanted.read(begin, count):
                raise AmbassadorError(
                    f"the disk reads back other than it was written, at or after byte {begin}: a worn-out card?"
                )
            on_progress("verify", begin + count, wanted.size)
