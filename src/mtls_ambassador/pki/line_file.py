"""A file of JSON objects, one a line, only ever appended to, and on the disk before anything relies on it."""

import datetime as dt
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import sync_folder

State = TypeVar("State")
Line = dict[str, Any]
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading a line of another form raises."""


def append(path: Path, lines: Iterable[Line]) -> None:
    """Append durably, one process at a time; the file is made with mode 0600 by its first line.

    Raises AmbassadorError when it cannot be written; what was there stays.
    """
    data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
    if not data:
        return
    try:
        with _opened(path) as descriptor:
            end = _end_of_whole_lines(descriptor)
            os.ftruncate(descriptor, end)
            try:
                _write(descriptor, data)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        sync_folder(path.parent)
    except OSError as error:
        raise AmbassadorError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: Path, begin: Callable[[], State], apply: Callable[[State, Line], None]) -> State:
    """What all lines together say: `apply` puts each into what `begin` makes; nothing when there is no file.

    A last line without its end was never acknowledged and does not count. Fails closed: raises AmbassadorError
    naming the line when another one cannot be read.
    """
    try:
        whole, newline, _ = path.read_text(encoding="utf-8").rpartition("\n")
    except FileNotFoundError:
        return begin()
    except (OSError, UnicodeDecodeError) as error:
        raise AmbassadorError(f"{path}: cannot be read: {error}") from error
    lines = whole.split("\n") if newline else []
    state = begin()
    try:
        for line in json.loads(f"[{','.join(lines)}]"):  # several times as fast as line by line
            apply(state, line)
    except _UNREADABLE:
        return _read_slowly(path, lines, begin(), apply)
    return state


def _read_slowly(path: Path, lines: list[str], state: State, apply: Callable[[State, Line], None]) -> State:
    """As `read`, to find the line that is wrong."""
    for number, line in enumerate(lines, 1):
        try:
            apply(state, json.loads(line))
        except _UNREADABLE as error:
            raise AmbassadorError(
                f"{path}: line {number} is not a line of a journal ({error}); put the file back from a backup"
            ) from error
    return state


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The file for one writer at a time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.geteuid() == 0 and os.fstat(descriptor).st_size == 0:
            owner = path.parent.stat()  # who keeps the folder must read it too, whoever writes the first line
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        yield descriptor
    finally:
        os.close(descriptor)


def _end_of_whole_lines(descriptor: int) -> int:
    """Where the last whole line ends; what a crash left after it was never acknowledged."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - 4096)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_time(text: str) -> dt.datetime:
    """A time of a line. Raises ValueError for one without a zone."""
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time
