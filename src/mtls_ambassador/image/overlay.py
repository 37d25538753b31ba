"""A disk image seen with changes that are not on the disk yet: copy on write, by pages, in memory."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from typing import Protocol

from mtls_ambassador.model.errors import AmbassadorError

PAGE = 4096
"""Bytes: the unit in which changes are kept, compared and written."""
_CHUNK = 1 << 20
_ENXIO = 6
_EINVAL = 22
_FICLONE = 0x40049409


class Readable(Protocol):
    """Bytes at offsets."""

    @property
    def size(self) -> int:
        """In bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises AmbassadorError when they are not all there."""

    @property
    def raw(self) -> "RawFile":
        """The file at the bottom."""

    def lay_over(self, descriptor: int, start: int, length: int) -> None:
        """Write what differs from `raw` in a part into a file whose beginning is that part's."""

    def copy_to(self, descriptor: int, start: int, length: int) -> None:
        """Copy a part into an empty file, from its beginning; where `raw` has holes, the file keeps them."""


class RawFile:
    """An open file or block device."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._size = os.lseek(descriptor, 0, os.SEEK_END)

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises AmbassadorError when they are not all there, or cannot be read."""
        data = b""
        try:
            while len(data) < length and offset + length <= self._size:
                more = os.pread(self.descriptor, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise AmbassadorError(f"byte {offset} of the image on: {error.strerror}") from error
        if len(data) < length:
            raise AmbassadorError(f"the image ends at byte {self._size}, before byte {offset + length}: truncated?")
        return data

    @property
    def raw(self) -> "RawFile":
        """Itself."""
        return self

    def lay_over(self, descriptor: int, start: int, length: int) -> None:
        """Nothing differs."""

    def extents(self, start: int, length: int) -> Iterator[tuple[int, int]]:
        """Offset and length of each part that is no hole. A disk has none."""
        end = min(start + length, self._size)
        while start < end:
            try:
                start = os.lseek(self.descriptor, start, os.SEEK_DATA)
            except OSError as error:
                if error.errno == _EINVAL:  # a block device
                    yield start, end - start
                if error.errno in (_EINVAL, _ENXIO):
                    return
                raise
            if start >= end:
                return
            stop = min(os.lseek(self.descriptor, start, os.SEEK_HOLE), end)
            yield start, stop - start
            start = stop

    def copy_to(self, descriptor: int, start: int, length: int) -> None:
        """Copy a part into an empty file, holes staying holes."""
        os.ftruncate(descriptor, length)
        for offset, count in self.extents(start, length):
            copy_range(self.descriptor, descriptor, offset, offset - start, count)

    def clone_to(self, descriptor: int) -> None:
        """Make an empty file a copy: blocks shared where the file system can (XFS, btrfs), else copied, holes kept."""
        try:
            fcntl.ioctl(descriptor, _FICLONE, self.descriptor)
        except OSError:
            self.copy_to(descriptor, 0, self._size)


def copy_range(source: int, target: int, offset: int, to: int, length: int) -> None:
    """Copy bytes from one file into another, inside the kernel where it can."""
    while length:
        try:
            done = os.copy_file_range(source, target, length, offset, to)
        except OSError:  # another file system, or a device
            done = os.pwrite(target, os.pread(source, min(length, _CHUNK), offset), to)
        if not done:
            raise AmbassadorError(f"the image ends at byte {offset}: truncated?")
        offset, to, length = offset + done, to + done, length - done


class Overlay:
    """What `base` would be with what was written here. `base` must not change meanwhile."""

    def __init__(self, base: Readable) -> None:
        self._base = base
        self._pages: dict[int, bytearray] = {}

    @property
    def size(self) -> int:
        """In bytes."""
        return self._base.size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes."""
        first, last = offset // PAGE, (offset + length - 1) // PAGE
        if not any(page in self._pages for page in range(first, last + 1)):
            return self._base.read(offset, length)
        data = bytearray(self._base.read(offset, length))
        for page in range(first, last + 1):
            if (kept := self._pages.get(page)) is not None:
                begin, end = max(offset, page * PAGE), min(offset + length, page * PAGE + len(kept))
                data[begin - offset : end - offset] = kept[begin - page * PAGE : end - page * PAGE]
        return bytes(data)

    def write(self, offset: int, data: bytes) -> None:
        """Keep these bytes. Raises AmbassadorError for what would lie behind the end."""
        end = offset + len(data)
        if end > self.size:
            raise AmbassadorError(f"byte {end} lies behind the image's end at {self.size}")
        while offset < end:
            page, within = divmod(offset, PAGE)
            kept = self._page(page)
            count = min(len(kept) - within, len(data))
            kept[within : within + count] = data[:count]
            data, offset = data[count:], offset + count

    def _page(self, page: int) -> bytearray:
        kept = self._pages.get(page)
        if kept is None:
            begin = page * PAGE
            kept = self._pages[page] = bytearray(self._base.read(begin, min(PAGE, self.size - begin)))
        return kept

    def changes(self) -> dict[int, bytes]:
        """The pages that differ from the base, by their offsets, in order."""
        pages = ((page * PAGE, bytes(kept)) for page, kept in sorted(self._pages.items()))
        return {offset: kept for offset, kept in pages if kept != self._base.read(offset, len(kept))}

    def differs(self, start: int, end: int) -> bool:
        """Whether a byte of a part differs from the base; pages reach over the edges of partitions."""
        for page, kept in self._pages.items():
            begin, stop = max(start - page * PAGE, 0), min(end - page * PAGE, len(kept))
            if begin < stop and kept[begin:stop] != self._base.read(page * PAGE + begin, stop - begin):
                return True
        return False

    def written(self) -> list[int]:
        """Offsets of the pages that were written to, whether they differ from the base or not."""
        return sorted(page * PAGE for page in self._pages)

    def copy_to(self, descriptor: int, start: int, length: int) -> None:
        """Copy a part as it is seen here; where the file at the bottom has holes, the copy keeps them."""
        self.raw.copy_to(descriptor, start, length)
        self.lay_over(descriptor, start, length)

    @property
    def raw(self) -> RawFile:
        """The file at the bottom."""
        return self._base.raw

    def lay_over(self, descriptor: int, start: int, length: int) -> None:
        """Write what differs from `raw` in a part into a file whose beginning is that part's."""
        self._base.lay_over(descriptor, start, length)
        for page, kept in self._pages.items():
            begin, end = max(start, page * PAGE), min(start + length, page * PAGE + len(kept))
            if begin < end:
                os.pwrite(descriptor, kept[begin - page * PAGE : end - page * PAGE], begin - start)

    def absorb(self, descriptor: int, start: int) -> None:
        """Take over what differs in a copy that `copy_to` made and that was changed since."""
        copy = RawFile(descriptor)
        for offset, length in copy.extents(0, copy.size):
            for begin in range(offset, offset + length, _CHUNK):
                chunk = copy.read(begin, min(_CHUNK, offset + length - begin))
                if chunk != self.read(start + begin, len(chunk)):
                    self._absorb(start + begin, chunk)
                self._take_filled_holes(start + begin, chunk)

    def _take_filled_holes(self, offset: int, chunk: bytes) -> None:
        """Zeros in what was a hole are no change, but were written: they are now part of something."""
        for begin in range(0, len(chunk), PAGE):
            is_empty = chunk.count(0, begin, begin + PAGE) == len(chunk[begin : begin + PAGE])
            if is_empty and next(self.raw.extents(offset + begin, PAGE), None) is None:
                self._page((offset + begin) // PAGE)

    def _absorb(self, offset: int, chunk: bytes) -> None:
        for begin in range(0, len(chunk), PAGE):
            page = chunk[begin : begin + PAGE]
            if page != self.read(offset + begin, len(page)):
                self.write(offset + begin, page)


def laid_over(base: Readable, blocks: Mapping[int, bytes]) -> Overlay:
    """What `base` would be with these blocks in it."""
    seen = Overlay(base)
    for offset, block in blocks.items():
        seen.write(offset, block)
    return seen


class Region:
    """A part of an image, such as a partition, with offsets of its own."""

    def __init__(self, overlay: Overlay, start: int, size: int) -> None:
        self.overlay, self.start, self.size = overlay, start, size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises AmbassadorError for what lies outside."""
        self._check(offset, length)
        return self.overlay.read(self.start + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Keep these bytes. Raises AmbassadorError for what would lie outside."""
        self._check(offset, len(data))
        self.overlay.write(self.start + offset, data)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or offset + length > self.size:
            raise AmbassadorError(f"bytes {offset} to {offset + length} lie outside a partition of {self.size} bytes")
