"""Changing a file so that it is changed wholly or not at all, whatever happens in between, power loss included."""

import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.image.blocks import Blocks, decode, encode
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, sync_folder, write_new

_KIND = "mtls-ambassador undo 1"
_SECTOR = 512
"""Bytes that a disk writes wholly or not at all."""


class Undo:
    """The file beside an image that holds what an edit replaces, from before the first change to the check after it.

    Only who has the lock on the image may touch it.
    """

    def __init__(self, image: Path) -> None:
        self._image = image
        self._path = image.with_name(f".{image.name}.undo")
        self._staged = image.with_name(f".{image.name}.undo.new")
        self._bmaps: dict[str, str] = {}

    @property
    def is_there(self) -> bool:
        """Whether an edit was interrupted."""
        return self._path.exists()

    def keep_beside(self, bmap: Path) -> None:
        """Have the block map beside the image undone with it."""
        self._bmaps[bmap.name] = bmap.read_bytes().decode()

    def apply(self, descriptor: int, changes: Blocks, check: Callable[[RawFile], None]) -> None:
        """Write the changes, then `check`. When that raises, or anything else goes wrong, all is as before."""
        image = RawFile(descriptor)
        self._allocate(descriptor, changes)
        old = {offset: image.read(offset, len(block)) for offset, block in changes.items()}
        self._keep({"size": image.size, "beside": self._bmaps, "new": "".join(_sums(changes))}, old)
        try:
            write_blocks(descriptor, changes, self._image)
            read_back(image, changes, self._image)
            check(image)
        except BaseException:
            self._put_back(image, old, self._bmaps)
            raise
        self._forget()

    def settle(self, descriptor: int) -> None:
        """Put back what an interrupted edit had replaced, if there was one.

        Fails closed: raises AmbassadorError, and changes nothing, when what was kept is damaged or another image's.
        """
        if self.is_there:
            image, kept = RawFile(descriptor), self._read()
            try:
                kept.refuse_other(image)
            except AmbassadorError as error:
                raise self._useless(str(error)) from error
            self._put_back(image, kept.blocks, kept.beside)
        with suppress(OSError):  # a folder that is only read
            self._staged.unlink(missing_ok=True)

    def _allocate(self, descriptor: int, blocks: Blocks) -> None:
        """Have the disk make room where the image has holes, so that it cannot run full between two writes."""
        try:
            for offset, block in blocks.items():
                os.posix_fallocate(descriptor, offset, len(block))
        except OSError as error:
            raise AmbassadorError(f"{self._image}: cannot be written: {error.strerror}; nothing was changed") from error

    def _keep(self, facts: Mapping[str, object], old: Blocks) -> None:
        """Have the undo file on the disk, under its name only once it is whole."""
        try:
            self._staged.unlink(missing_ok=True)
            write_new(self._staged, encode(_KIND, facts, old), PRIVATE)
            self._staged.rename(self._path)
        except (OSError, AmbassadorError) as error:
            raise AmbassadorError(
                f"{self._image}: what is to be replaced cannot be kept beside it: {error}; nothing was changed"
            ) from error
        sync_folder(self._path.parent)

    def _read(self) -> "_Kept":
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise AmbassadorError(
                f"{self._path}: {error.strerror}; it undoes an edit that was interrupted: run this as who ran that edit"
            ) from error
        try:
            return _parse(data, self._path.name)
        except AmbassadorError as error:
            raise self._useless(str(error)) from error

    def _useless(self, why: str) -> AmbassadorError:
        return AmbassadorError(
            f"{self._image}: an edit of it was interrupted and cannot be undone: {why}. Put a good copy of the image in"
            f" its place, or see that it is whole, then remove {self._path.name} beside it"
        )

    def _put_back(self, image: RawFile, old: Blocks, bmaps: Mapping[str, str]) -> None:
        try:
            changed = {at: block for at, block in old.items() if image.read(at, len(block)) != block}
            write_blocks(image.descriptor, changed, self._image)
            if bmaps:
                self._put_back_bmap(bmaps)
            self._forget()
        except (OSError, AmbassadorError) as error:
            raise AmbassadorError(
                f"{error}; an edit of it is half done: {self._path.name} beside it has what was there before, and the"
                " next command puts it back"
            ) from error

    def _put_back_bmap(self, bmaps: Mapping[str, str]) -> None:
        from mtls_ambassador.image.bmap_file import find_bmap  # noqa: PLC0415 - seldom needed
        from mtls_ambassador.image.staged import replace_text  # noqa: PLC0415 - see above

        bmap = find_bmap(self._image)
        if bmap is not None and bmap.name in bmaps:
            replace_text(bmap.resolve(), bmaps[bmap.name])

    def _forget(self) -> None:
        self._path.unlink()
        sync_folder(self._path.parent)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an undo file holds."""

    size: int
    """Bytes of the image."""
    blocks: dict[int, bytes]
    """What was there."""
    new: str
    """`_sums` of what was about to be there."""
    beside: dict[str, str]
    """Block maps beside the image, by name."""

    def refuse_other(self, image: RawFile) -> None:
        """Raises AmbassadorError unless each sector is what was there, or what was about to be."""
        if self.size != image.size:
            raise AmbassadorError(f"it was of an image of {self.size} bytes, and this one has {image.size}")
        for number, (at, old) in enumerate(_sectors(self.blocks)):
            now, new = image.read(at, len(old)), self.new[8 * number : 8 * number + 8]
            if now != old and _sum(now) != new:
                raise AmbassadorError(f"byte {at} on is neither as it was before that edit nor after")


def _parse(data: bytes, name: str) -> _Kept:
    """Raises AmbassadorError for anything but a whole undo file that keeps to its image."""
    file = decode(_KIND, data, name)
    size, beside, new = (file.facts.get(fact) for fact in ("size", "beside", "new"))
    if type(size) is not int or not isinstance(beside, dict) or not isinstance(new, str):
        raise AmbassadorError(f"{name}: has another head than an edit writes")
    if any(offset + len(block) > size for offset, block in file.blocks.items()):
        raise AmbassadorError(f"{name}: has blocks behind the image's end")
    return _Kept(size, file.blocks, new, {bmap: str(text) for bmap, text in beside.items()})


def _sectors(blocks: Blocks) -> Iterator[tuple[int, bytes]]:
    for offset, block in sorted(blocks.items()):
        for begin in range(0, len(block), _SECTOR):
            yield offset + begin, block[begin : begin + _SECTOR]


def _sums(blocks: Blocks) -> Iterator[str]:
    """A checksum of each sector: enough to tell them from another image's."""
    return (_sum(sector) for _, sector in _sectors(blocks))


def _sum(sector: bytes) -> str:
    return f"{zlib.crc32(sector):08x}"


def write_blocks(descriptor: int, blocks: Blocks, name: Path) -> None:
    """Write blocks and wait until they are on the disk. Raises AmbassadorError with the name."""
    try:
        for offset, block in blocks.items():
            if os.pwrite(descriptor, block, offset) != len(block):
                raise AmbassadorError(f"{name}: cannot be written whole; is the disk full?")
        os.fsync(descriptor)
    except OSError as error:
        raise AmbassadorError(f"{name}: cannot be written: {error.strerror}") from error


def read_back(image: RawFile, blocks: Blocks, name: Path) -> None:
    """Raises AmbassadorError, with the name, unless the blocks are there."""
    for offset, block in blocks.items():
        if image.read(offset, len(block)) != block:
            raise AmbassadorError(f"{name}: byte {offset} on reads back other than it was written")
