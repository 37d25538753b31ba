"""Where an image is about to be written to: what the system says of a block device, and whether it may be written."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError

_SECTOR = 512
"""Bytes of what `/sys` counts sizes in, whatever the device's own sectors are."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A block device as the system describes it."""

    path: Path
    """Its own, and no link's."""
    number: int
    """The device's (`st_rdev`), which the next disk gets when this one is unplugged."""
    sequence: str
    """Counts disks, and cards in a reader, and comes only once; empty on Linux before 5.15."""
    size: int
    """Bytes."""
    model: str
    is_whole: bool
    """Not a partition."""
    is_removable: bool
    is_read_only: bool
    mounts: tuple[str, ...]
    """Where it, or a partition of it, is mounted."""
    users: tuple[str, ...]
    """What else uses it: swap, RAID, LVM, encryption."""

    @property
    def described(self) -> str:
        """For a person who is about to lose what is on it."""
        kind = "removable" if self.is_removable else "NOT removable"
        return f"{self.path}: {self.model or 'unknown model'}, {self.size / 1e9:.1f} GB, {kind}"


def refusal(disk: Disk, size: int, *, is_table: bool) -> str:
    """Why an image of `size` bytes must not be written there; empty when it may. Fails closed.

    One that `is_table` has partitions of its own.
    """
    if is_table and not disk.is_whole:
        return f"{disk.path}: is a partition, and the image is one of a whole disk: name the disk"
    if disk.mounts:
        return f"{disk.path}: is mounted at {', '.join(disk.mounts)}; unmount it first, if it is the right one"
    if disk.users:
        return f"{disk.path}: is in use by {', '.join(disk.users)}"
    if disk.is_read_only:
        return f"{disk.path}: is read-only; a card may have a switch for that"
    if size > disk.size:
        return f"{disk.path}: has {disk.size} bytes, and the image {size}"
    return ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an image is to be: a disk, a file that is there, or one that is not."""

    path: Path
    """Links followed, once: where they lead to later is another place."""
    status: os.stat_result | None
    """None where nothing is."""
    disk: Disk | None


def find_target(path: Path, *, must_exist: bool) -> Target:
    """What is there now. Raises AmbassadorError when nothing is there and something must be.

    Below `/dev` there must be a disk: a file with its name is made by whoever writes to one that is not plugged in, and
    stands in memory.
    """
    own = Path(os.path.realpath(path))
    status = _status(own)
    disk = None if status is None else _described(own, status)
    if disk is None and own.is_relative_to("/dev"):
        why = "no such disk; is the card plugged in?" if status is None else "is no disk"
        raise AmbassadorError(f"{path}: {why}")
    if must_exist and status is None:
        raise AmbassadorError(f"{path}: is not there, so that it cannot have the golden image already")
    return Target(own, status, disk)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error


def look_at(path: Path) -> Disk | None:
    """What the system says of a block device; None when the path is no block device.

    Raises AmbassadorError when there is a device the system says nothing of. Raises OSError.
    """
    return _described(path, path.stat())


def refuse_other(disk: Disk, descriptor: int) -> None:
    """Raises AmbassadorError unless what is open, and stays so, is the disk that was looked at and asked about."""
    if _described(disk.path, os.fstat(descriptor)) != disk:
        raise AmbassadorError(
            f"{disk.path}: is not the disk it was a moment ago: was it changed for another? Nothing was written; look"
            " which one it is, and begin again"
        )


def _described(path: Path, status: os.stat_result) -> Disk | None:
    if not stat.S_ISBLK(status.st_mode):
        return None
    own = Path(f"/sys/dev/block/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}").resolve()
    if not own.is_dir():
        raise AmbassadorError(f"{path}: the system does not describe this device, so that it is not written to")
    is_whole = not (own / "partition").exists()
    disk = own if is_whole else own.parent
    parts = [own, *(item.parent for item in own.glob("*/partition"))]
    numbers = {_text(part / "dev") for part in parts}
    return Disk(
        path,
        status.st_rdev,
        _text(disk / "diskseq"),
        int(_text(own / "size") or 0) * _SECTOR,
        " ".join(filter(None, (_text(disk / "device" / name) for name in ("vendor", "model", "name")))),
        is_whole,
        _text(disk / "removable") == "1",
        _text(own / "ro") == "1",
        tuple(sorted(set(_mounts(numbers)))),
        (*_swaps(numbers), *(item.name for part in parts for item in sorted(part.glob("holders/*")))),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _mounts(numbers: set[str]) -> Iterator[str]:
    """Mount points of these devices (proc(5), mountinfo)."""
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split(" ")
        if fields[2] in numbers or _number(fields[fields.index("-") + 2]) in numbers:
            yield fields[4]


def _swaps(numbers: set[str]) -> Iterator[str]:
    for line in _text(Path("/proc/swaps")).splitlines()[1:]:
        if _number(line.split()[0]) in numbers:
            yield "swap"


def _number(path: str) -> str:
    """The device's number, for what names it by its path."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return ""
    is_block = stat.S_ISBLK(status.st_mode)
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}" if is_block else ""
