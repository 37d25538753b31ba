"""Files that must be right after a crash: made once and never overwritten, or replaced whole."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError

PUBLIC = 0o644
PRIVATE = 0o600
_CHUNK = 1 << 20


def write_new(path: Path, data: bytes, mode: int = PUBLIC) -> None:
    """Make a file with its mode from the start, durably. Raises AmbassadorError when it is there or cannot be written.

    What could be written of it in part is removed again.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except FileExistsError:
        raise AmbassadorError(f"{path} is there already and is never overwritten") from None
    except OSError as error:
        raise AmbassadorError(f"{path} cannot be made: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise AmbassadorError(f"{path} cannot be written: {error.strerror}") from error
    sync_folder(path.parent)


def replace(path: Path, data: bytes, mode: int = PUBLIC) -> None:
    """Put a new version in the place of a file: whoever reads it sees the old one or the new one, whole."""
    staged = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    write_new(staged, data, mode)
    try:
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise AmbassadorError(f"{path} cannot be replaced: {error.strerror}") from error
    sync_folder(path.parent)


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder and those above it, unless it is there."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise AmbassadorError(f"{path} cannot be made: {error.strerror}") from error


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a file; AmbassadorError names it and `what` it should have been."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise AmbassadorError(f"{path}: {what} cannot be read: {error.strerror}") from error


def sync_folder(path: Path) -> None:
    """Make names in a folder durable; some file systems cannot and need not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


def sync_disk(descriptor: int) -> None:
    """Wait until all that was written to this descriptor's file system is on its disk: one barrier for many files.

    Raises OSError when the disk failed meanwhile.
    """
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def shred_files(folder: int, paths: list[Path]) -> int:
    """Overwrite and remove files below `folder` (a descriptor); returns how many there were.

    Raises OSError; also for a symbolic link, since what it leads to may be anybody's.
    """
    for path in paths:
        with os.fdopen(_open_own(path), "wb") as file:
            size = os.fstat(file.fileno()).st_size
            for begin in range(0, size, _CHUNK):
                file.write(os.urandom(min(_CHUNK, size - begin)))
    # Without this a file would be gone before the new bytes ever reached the disk.
    sync_disk(folder)
    for path in paths:
        path.unlink()
    sync_disk(folder)
    return len(paths)


def _open_own(path: Path) -> int:
    """To be overwritten in place. Raises OSError for a link."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(error.errno, "is a symbolic link, and what it leads to is not shredded", str(path)) from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time works in this folder; others wait. A crash frees it."""
    make_folder(folder)
    path = folder / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise AmbassadorError(f"{path} cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
