"""Files beside an image, which may have come with it from anybody."""

import errno
import os
import stat
from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError


def read_beside(path: Path, most: int) -> bytes:
    """The bytes of a file, `most` at most.

    Fails closed: raises AmbassadorError for a symbolic link, which may lead anywhere, for what is no file and may never
    end, and for more bytes; OSError when it cannot be opened or read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise AmbassadorError(
            f"{path}: is a symbolic link, and is not followed; the file itself must be here"
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise AmbassadorError(f"{path}: is no file")
        if status.st_size > most:
            raise AmbassadorError(f"{path}: has {status.st_size} bytes; {most} are the most")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
