"""Files that may change while the gateway runs: noticed by their status, read only when they are at rest."""

import os
from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError

Stamp = tuple[object, ...]
"""Changes whenever the file behind the path does, also by a link that leads elsewhere, as Kubernetes swaps secrets."""


def stamp_of(path: Path) -> Stamp:
    """The identity of what is there, or why nothing can be seen of it."""
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno,)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_input(path: Path, setting: str) -> bytes:
    """The whole content. Raises AmbassadorError naming the setting when it is missing, empty, or being written."""
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            content = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise AmbassadorError(f"{setting}: {path}: {error.strerror}") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise AmbassadorError(f"{setting}: {path}: is being written")
    return content
