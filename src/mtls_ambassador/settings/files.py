"""What is wrong with a file that a setting names; secrets read from files."""

import stat
from pathlib import Path


def file_fault(path: Path, *, may_be_empty: bool = False) -> str | None:
    """Why the file cannot be used, or None. Fails closed: what cannot be read is a fault."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return "is a directory, not a file; Docker makes one where a mount's source file is missing on the host"
        if not stat.S_ISREG(mode):
            return "is not a regular file; it is read more than once"
        with path.open("rb") as file:
            return None if file.read(1) or may_be_empty else "is empty"
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError:
        return "is not a path"


def is_world_readable(path: Path) -> bool:
    """Whether every user of this machine may read the file; False when it is not there."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except (OSError, ValueError):
        return False


def read_secret(path: Path) -> str:
    """The secret in a file, less the trailing newline editors add; ValueError says why there is none."""
    fault = file_fault(path)
    if fault is not None:
        raise ValueError(fault)
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise ValueError("cannot be read as text") from None
    if not text:
        raise ValueError("is empty")
    return text
