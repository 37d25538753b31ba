"""The file a disk image is in: as it is, compressed, or in a Mender artifact; opened so that its bytes can be read."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.undo import Undo
from mtls_ambassador.model.errors import AmbassadorError


class Container(Protocol):
    """An image's bytes, and how changes to them get back."""

    @property
    def descriptor(self) -> int:
        """Of a file with the bytes of the disk."""

    def apply(self, changes: Blocks, check: Callable[[RawFile], None]) -> None:
        """Write the changes and `check`; when that raises, all is as before."""


class Plain:
    """An image that is its file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    @property
    def descriptor(self) -> int:
        """Of the file itself."""
        return self._descriptor

    def apply(self, changes: Blocks, check: Callable[[RawFile], None]) -> None:
        """Write in place."""
        if changes:
            Undo(self._path).apply(self._descriptor, changes, check)


@contextmanager
def opened(path: Path, *, to_write: bool) -> Iterator[Container]:
    """The image in a file, locked against others who would write to it; an edit that was interrupted is undone first.

    Raises AmbassadorError when it cannot be opened.
    """
    path = path.resolve()
    with _locked(path, to_write=to_write or Undo(path).is_there) as descriptor:
        if Undo(path).is_there:
            Undo(path).roll_back(descriptor)
        yield Plain(path, descriptor)


@contextmanager
def _locked(path: Path, *, to_write: bool) -> Iterator[int]:
    while True:
        try:
            descriptor = os.open(path, (os.O_RDWR if to_write else os.O_RDONLY) | os.O_CLOEXEC)
        except OSError as error:
            raise AmbassadorError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if to_write else fcntl.LOCK_SH)
            # Whoever held the lock may have put another file in its place.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                yield descriptor
                return
        finally:
            os.close(descriptor)
