"""`mtls-ambassador image` run in this process, which takes milliseconds, and what a refusal must leave alone."""

import atexit
import hashlib
import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from mtls_ambassador.cli import main
from support.images import Part, make_disk, run

SMALL = (
    Part(1, "vfat", label="BOOT", files={"config.txt": b"arm_64bit=1\n", "grub": None}),
    Part(2, files={"etc/mender/mender.conf": b"{}\n", "var/lib/mender": "/data/mender"}),
    Part(2, files={"etc/mender/mender.conf": b"{}\n", "var/lib/mender": "/data/mender"}),
    Part(8, label="data", files={"mender/device_type": b"device_type=qemu\n"}),
)
"""A disk with the four partitions of Mender's builds; the last, of 8 MiB, is large enough for a journal."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed."""

    out: bytes
    err: str
    code: int

    @property
    def text(self) -> str:
        return self.out.decode()


def image(*words: str | Path, code: int | None = 0, given: bytes = b"") -> Said:
    """Run a command; it must end with `code`, if that is said, and say nothing that steers a terminal."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), standard_input(given):
        ended = main(["image", *map(str, words)])
        out.flush()
    said = Said(out.buffer.getvalue(), err.getvalue(), ended)
    assert code in {ended, None}, (words, ended, said)
    assert all(char.isprintable() or char == "\n" for char in said.err), said.err
    return said


@contextmanager
def standard_input(given: bytes) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(given))
    try:
        yield
    finally:
        sys.stdin = before


def refused(path: Path, *words: str | Path, code: int = 1, given: bytes = b"") -> str:
    """What a refused command says; the image is as it was before, byte for byte, and nothing is left beside it."""
    before, beside = sha256(path), names(path.parent)
    said = image(*words, code=code, given=given).err
    assert (sha256(path), names(path.parent)) == (before, beside)
    return said


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_small(path: Path) -> list[int]:
    """An image of SMALL; returns the first byte of each partition."""
    made, starts = _small()
    copy(made, path)
    return starts


@cache
def _small() -> tuple[Path, list[int]]:
    """Made once, and gone when the tests end."""
    folder = Path(mkdtemp(prefix="small-"))
    atexit.register(shutil.rmtree, folder)
    return folder / "small.img", make_disk(folder / "small.img", SMALL)


def copy(path: Path, target: Path) -> Path:
    """A copy that keeps the holes."""
    run("cp", "--sparse=always", path, target)
    return target


def debugfs(path: Path, command: str, offset: int = 0) -> str:
    """What debugfs says to a command that may change the file system."""
    return run("debugfs", "-w", "-R", command, f"{path}?offset={offset}").decode()


@contextmanager
def mounted(path: Path, folder: Path, *options: str) -> Iterator[Path]:
    """An image's file system, mounted by the kernel; it must be gone from there at the end."""
    folder.mkdir(exist_ok=True)
    run("mount", "-o", ",".join(("loop", *options)), path, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def patch_bytes(path: Path, offset: int, data: bytes) -> None:
    """Write over some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def key(folder: Path) -> Path:
    """A file to put into images."""
    path = folder / "key.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\n")
    return path
