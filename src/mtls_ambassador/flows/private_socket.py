"""A Unix socket that only this user may connect to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_socket(path: Path) -> Iterator[None]:
    """Make a socket of this path in the block, in place of one that is left over.

    Its folder is 0700, and it is made under a mask that says so again.
    """
    path.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(mask)
