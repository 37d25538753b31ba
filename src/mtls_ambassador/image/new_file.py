"""A large file that is there whole or not at all, and takes no other's place."""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, sync_folder

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """An empty file, open for reading and writing; it gets its name at the end, when all that was to be done is done.

    Until then it has none, so that nothing is left of it however this ends; on FAT it has a name of its own. Raises
    AmbassadorError when there is a file of that name by then: that one stays as it is. Raises OSError.
    """
    try:
        descriptor, staged = os.open(path.parent, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, PRIVATE), None
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
        staged = path.with_name(f".{os.urandom(8).hex()}.part")
        descriptor = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        yield descriptor
        _name(descriptor, staged, path)
        sync_folder(path.parent)
    except FileExistsError:
        raise AmbassadorError(
            f"{path}: is there by now: something else made it meanwhile, and it stays as it is"
        ) from None
    finally:
        os.close(descriptor)
        if staged is not None:
            staged.unlink(missing_ok=True)


def _name(descriptor: int, staged: Path | None, path: Path) -> None:
    """Fails where the name is taken, as `rename` alone would not."""
    source = staged or Path(f"/proc/self/fd/{descriptor}")
    try:
        os.link(source, path, src_dir_fd=descriptor)  # with a descriptor, links are followed (linkat(2))
    except OSError as error:
        if staged is None or error.errno not in _NO_LINKS:
            raise
        _rename_new(staged, path)


def _rename_new(old: Path, new: Path) -> None:
    """renameat2(2), which Python has not."""
    names = os.fsencode(old), os.fsencode(new)
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
