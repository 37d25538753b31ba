"""What this machine allows: mounts, immutable files, a clock of one's own. Some containers do not."""

import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from shutil import which


@cache
def lacks_mounts() -> str:
    """Empty when file systems can be mounted here, where they end with us (see `__main__`)."""
    if not os.environ.get("TORTURE_MOUNTS_ALONE"):
        return "no mount namespace of its own here"
    with tempfile.TemporaryDirectory() as folder:
        if not _runs("mount", "-t", "tmpfs", "tmpfs", folder):
            return "mounting is not allowed here"
        subprocess.run(["umount", folder], check=True)
    return ""


@cache
def lacks_immutable_files() -> str:
    """Empty when the file system of temporary files knows immutable ones."""
    with tempfile.NamedTemporaryFile() as file:
        is_possible = _runs("chattr", "+i", file.name)
        _runs("chattr", "-i", file.name)
    return "" if is_possible else "no immutable files here"


@cache
def lacks_clock() -> str:
    """Empty when `clock.c` can be compiled."""
    return "" if which("cc") else "no C compiler to make a clock with"


def compile_clock(library: Path) -> None:
    """The library that gives a program another clock when it is preloaded."""
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)


def mounted(size: str, folder: Path) -> None:
    """Mount an empty file system of this size there."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], check=True)


def unmount_below(folder: Path) -> None:
    """Whatever a scenario mounted there, so that the folder can go."""
    for path in folder.iterdir():
        if path.is_mount():
            subprocess.run(["umount", path], check=True)


def change_attributes(change: str, *paths: Path) -> None:
    """As chattr(1): `+i` makes files immutable, for those too who have them open."""
    subprocess.run(["chattr", change, *paths], check=True)


def _runs(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
