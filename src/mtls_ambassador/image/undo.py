"""Changing a file so that it is changed wholly or not at all, whatever happens in between, power loss included."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from mtls_ambassador.image.beside import read_beside
from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap_path import find_bmap
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.undo_file import MAX_SIZE, Kept, parse_undo_file, undo_file
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, sync_folder, write_new


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
        """Have the block map beside the image undone with it. Raises AmbassadorError when that could not be."""
        from mtls_ambassador.image.bmap_file import read_bmap  # noqa: PLC0415 - seldom needed, and slow to load

        self._bmaps[bmap.name] = read_bmap(bmap)

    def apply(self, descriptor: int, changes: Blocks, check: Callable[[RawFile], None]) -> None:
        """Write the changes, then `check`. When that raises, or anything else goes wrong, all is as before."""
        image = RawFile(descriptor)
        self._allocate(descriptor, changes)
        old = {offset: image.read(offset, len(block)) for offset, block in changes.items()}
        self._keep(image.size, old, changes)
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

    def _keep(self, size: int, old: Blocks, new: Blocks) -> None:
        """Have the undo file on the disk, under its name only once it is whole."""
        try:
            self._staged.unlink(missing_ok=True)
            write_new(self._staged, undo_file(size, old, new, self._bmaps), PRIVATE)
            self._staged.rename(self._path)
        except (OSError, AmbassadorError) as error:
            raise AmbassadorError(
                f"{self._image}: what is to be replaced cannot be kept beside it: {error}; nothing was changed"
            ) from error
        sync_folder(self._path.parent)

    def _read(self) -> Kept:
        try:
            return parse_undo_file(read_beside(self._path, MAX_SIZE), self._path.name)
        except OSError as error:
            raise AmbassadorError(
                f"{self._path}: {error.strerror}; it undoes an edit that was interrupted: run this as who ran that edit"
            ) from error
        except AmbassadorError as error:
            raise self._useless(str(error)) from error

    def _useless(self, why: str) -> AmbassadorError:
        return AmbassadorError(
            f"{self._image}: an edit of it was interrupted and cannot be undone: {why}. Put a good copy of the image in"
            f" its place, or see that it is whole, then remove {self._path.name} beside it"
        )

    def _put_back(self, image: RawFile, old: Blocks, bmaps: Mapping[str, str]) -> None:
        try:
            if bmaps:
                self._put_back_bmap(bmaps)
            changed = {at: block for at, block in old.items() if image.read(at, len(block)) != block}
            write_blocks(image.descriptor, changed, self._image)
            self._forget()
        except (OSError, AmbassadorError) as error:
            raise AmbassadorError(
                f"{error}; an edit of it is half done: {self._path.name} beside it has what was there before, and the"
                " next command puts it back"
            ) from error

    def _put_back_bmap(self, bmaps: Mapping[str, str]) -> None:
        from mtls_ambassador.image.bmap_file import put_back_bmap  # noqa: PLC0415 - seldom needed, and slow to load

        bmap = find_bmap(self._image)
        if bmap is not None and bmap.name in bmaps:
            put_back_bmap(bmap, bmaps[bmap.name])

    def _forget(self) -> None:
        self._path.unlink()
        sync_folder(self._path.parent)


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
