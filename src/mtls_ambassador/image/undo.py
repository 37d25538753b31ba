"""Changing a file so that it is changed wholly or not at all, whatever happens in between, power loss included."""

import os
from collections.abc import Callable
from pathlib import Path

from mtls_ambassador.image.blocks import Blocks, decode, encode
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, sync_folder, write_new

_KIND = "mtls-ambassador undo 1"


class Undo:
    """The file beside an image that holds what an edit replaces, from before the first change to the check after it."""

    def __init__(self, image: Path) -> None:
        self._image = image
        self._path = image.with_name(f".{image.name}.undo")
        self._bmaps: dict[str, str] = {}

    @property
    def is_there(self) -> bool:
        """Whether an edit was interrupted."""
        return self._path.exists()

    def keep_beside(self, file: Path) -> None:
        """Have a small text file beside the image undone with it."""
        self._bmaps[file.name] = file.read_bytes().decode()

    def apply(self, descriptor: int, changes: Blocks, check: Callable[[RawFile], None]) -> None:
        """Write the changes, then `check`. When that raises, or anything else goes wrong, all is as before."""
        image = RawFile(descriptor)
        _allocate(descriptor, changes)
        old = {offset: image.read(offset, len(block)) for offset, block in changes.items()}
        write_new(self._path, encode(_KIND, {"size": image.size, "beside": self._bmaps}, old), PRIVATE)
        try:
            write_blocks(descriptor, changes)
            read_back(image, changes)
            check(image)
        except BaseException:
            self.roll_back(descriptor)
            raise
        self._forget()

    def roll_back(self, descriptor: int) -> None:
        """Put back what an interrupted edit had replaced. Raises AmbassadorError when this is not the same image."""
        kept = decode(_KIND, self._path.read_bytes(), str(self._path))
        if kept.facts["size"] != RawFile(descriptor).size:
            raise AmbassadorError(f"{self._path}: is of an image of another size; remove it if {self._image} is whole")
        write_blocks(descriptor, kept.blocks)
        for name, content in kept.facts["beside"].items():
            from mtls_ambassador.image.staged import replace_text  # noqa: PLC0415 - seldom needed

            file = self._image.with_name(name)
            if file.exists():
                replace_text(file.resolve(), content)
        self._forget()

    def _forget(self) -> None:
        self._path.unlink()
        sync_folder(self._path.parent)


def _allocate(descriptor: int, blocks: Blocks) -> None:
    """Have the disk make room where the image has holes, so that it cannot run full between two writes."""
    try:
        for offset, block in blocks.items():
            os.posix_fallocate(descriptor, offset, len(block))
    except OSError as error:
        raise AmbassadorError(f"the image cannot be written: {error.strerror}; nothing was changed") from error


def write_blocks(descriptor: int, blocks: Blocks) -> None:
    """Write blocks and wait until they are on the disk."""
    try:
        for offset, block in blocks.items():
            if os.pwrite(descriptor, block, offset) != len(block):
                raise AmbassadorError("the image cannot be written whole; is the disk full?")
        os.fsync(descriptor)
    except OSError as error:
        raise AmbassadorError(f"the image cannot be written: {error.strerror}") from error


def read_back(image: RawFile, blocks: Blocks) -> None:
    """Raises AmbassadorError unless the blocks are there."""
    for offset, block in blocks.items():
        if image.read(offset, len(block)) != block:
            raise AmbassadorError(f"byte {offset} of the image reads back other than it was written")
