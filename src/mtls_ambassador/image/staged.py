"""New versions of files, made beside the old ones, which stay whole until the new ones take their places."""

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from mtls_ambassador.image.pieces import pieces
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, sync_folder

_PAGE = 4096
_PIECE = 1 << 20
_ZEROS = bytes(_PAGE)


def staged_path(path: Path) -> Path:
    """Where a file's new version is made. Only who has the lock on the file may touch it."""
    return path.with_name(f".{path.name}.new")


class Staged:
    """A new version of a file, with the mode of the old one, and its owner where that is permitted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._staged = staged_path(path)
        self._staged.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.file = os.fdopen(os.open(self._staged, flags, PRIVATE), "w+b")

    def commit(self) -> None:
        """Put it in the old one's place, durably."""
        self.file.flush()
        old, new = self._path.stat(), self.file.fileno()
        with suppress(PermissionError):
            os.fchown(new, old.st_uid, old.st_gid)
        os.fchmod(new, old.st_mode & 0o7777)
        os.fsync(new)
        fcntl.flock(new, fcntl.LOCK_EX)  # nobody else edits it before this edit is over
        self._staged.replace(self._path)
        sync_folder(self._path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._staged.unlink(missing_ok=True)
        with suppress(OSError):  # what a full disk refuses a second time
            self.file.close()


def replace_text(path: Path, text: str) -> None:
    """Put a new version of a small file in its place."""
    with Staged(path) as new:
        new.file.write(text.encode())
        new.commit()


@contextmanager
def unnamed_file(folder: Path) -> Iterator[int]:
    """A file without a name, gone when it is closed, however that comes; in this folder if it can be, for its room."""
    try:
        descriptor = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, PRIVATE)
    except OSError:  # a read-only folder, or a file system that has no such files
        with _file_elsewhere(folder) as file:
            yield file.fileno()
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _file_elsewhere(folder: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="image-")
    except OSError as error:
        raise AmbassadorError(f"neither in {folder} nor in TMPDIR can a file be made: {error.strerror}") from error


def write_sparse(descriptor: int, chunks: Iterable[bytes]) -> None:
    """Fill an empty file; what is zeros becomes holes. Raises OSError and what `chunks` raise."""
    at = 0
    for piece in pieces(chunks, _PIECE):
        for begin, end in _runs(piece):
            write_all(descriptor, piece[begin:end], at + begin)
        at += len(piece)
    os.ftruncate(descriptor, at)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write every byte."""
    while data:
        done = os.pwrite(descriptor, data, offset)
        data, offset = data[done:], offset + done


def _runs(piece: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of the parts that are not zeros, by pages."""
    begin = None
    for at in range(0, len(piece), _PAGE):
        page = piece[at : at + _PAGE]
        is_empty = page == _ZEROS[: len(page)]
        if is_empty and begin is not None:
            yield begin, at
            begin = None
        elif not is_empty and begin is None:
            begin = at
    if begin is not None:
        yield begin, len(piece)
