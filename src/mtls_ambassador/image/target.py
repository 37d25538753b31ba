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


def look_at(path: Path) -> Disk | None:
    """What the system says of a block device; None when the path is no block device.

    Raises AmbassadorError when there is a device the system says nothing of.
    """
    status = path.stat()
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
