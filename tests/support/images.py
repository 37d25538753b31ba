"""Small disk images, made by the tools that Debian's image builders use."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
Tree = Mapping[str, bytes | str | None]
"""Paths below a root: content of a file, target of a link (a text), or None for a folder."""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition, and the file system in it."""

    size: int
    """MiB."""
    system: str = "ext4"
    """ext2, ext3, ext4, vfat, or empty for none."""
    options: tuple[str, ...] = ()
    """Of mke2fs or mkfs.vfat."""
    label: str = ""
    files: Tree | None = None


BOOT = Part(8, "vfat", label="BOOT", files={"config.txt": b"arm_64bit=1\n", "EFI": None, "grub": None})
ROOTFS = Part(
    16,
    files={
        "etc/mender/mender.conf": b'{"ServerURL": "https://hosted.mender.io/", "TenantToken": "TENANT_TOKEN"}\n',
        "var/lib/mender": "/data/mender",
        "boot": None,
    },
)
DATA = Part(16, label="data", files={"mender": None})
MENDER = (BOOT, ROOTFS, ROOTFS, DATA)
"""As Mender's builds lay a disk out."""


def make_disk(path: Path, parts: Sequence[Part] = MENDER, table: str = "msdos", names: Sequence[str] = ()) -> list[int]:
    """An image with a partition for each part; returns the first byte of each.

    `table` is msdos, gpt, or logical: msdos with all partitions from the fourth on in an extended one.
    """
    starts = [4]
    for part in parts:
        starts.append(starts[-1] + part.size + (1 if table == "logical" else 0))
    run("truncate", "-s", f"{starts[-1] + 4}M", path)
    run("parted", "-s", path, "mklabel", "gpt" if table == "gpt" else "msdos", *_cuts(parts, starts, table, names))
    for number, (part, start) in enumerate(zip(parts, starts, strict=False), 1):
        if part.system:
            file = path.with_name(f"{path.name}.{number}")
            make_system(file, part)
            run("dd", f"if={file}", f"of={path}", "bs=1M", f"seek={start}", "conv=notrunc,sparse", "status=none")
            file.unlink()
    return [start * MIB for start in starts[:-1]]


def _cuts(parts: Sequence[Part], starts: list[int], table: str, names: Sequence[str]) -> list[str]:
    words = []
    for number, (part, start) in enumerate(zip(parts, starts, strict=False)):
        kind = names[number] if table == "gpt" and names else "primary"
        if table == "logical" and number >= 3:
            if number == 3:
                words += ["mkpart", "extended", f"{start - 1}MiB", "100%"]
            kind = "logical"
        words += ["mkpart", kind, f"{start}MiB", f"{start + part.size}MiB"]
    return words


def make_system(path: Path, part: Part) -> None:
    """A file system in a file of its own."""
    if part.system == "vfat":
        run("mkfs.vfat", "-C", *part.options, *(("-n", part.label) if part.label else ()), path, str(part.size * 1024))
        _fill_fat(path, part.files or {})
        return
    tree = path.with_name(f"{path.name}-tree")
    tree.mkdir()
    _fill(tree, part.files or {})
    label = ("-L", part.label) if part.label else ()
    run("mke2fs", "-q", "-F", "-t", part.system, *label, *part.options, "-d", tree, path, f"{part.size}M")
    shutil.rmtree(tree)


def _fill(tree: Path, files: Tree) -> None:
    for name, content in files.items():
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            place.mkdir()
        elif isinstance(content, str):
            place.symlink_to(content)
        else:
            place.write_bytes(content)


def _fill_fat(path: Path, files: Tree) -> None:
    for name, content in files.items():
        if content is None:
            run("mmd", "-i", path, f"::/{name}")
        elif isinstance(content, bytes):
            run("mcopy", "-i", path, "-", f"::/{name}", given=content)


def run(*words: str | Path, given: bytes | None = None) -> bytes:
    """What a program says; it must succeed."""
    environ = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([*map(str, words)], input=given, capture_output=True, check=False, env=environ)
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout


def check_ext(image: Path, offset: int = 0) -> None:
    """The file system must be sound, to e2fsck's last word."""
    said = run("e2fsck", "-fn", f"{image.resolve()}?offset={offset}").decode()
    assert "? no" not in said, said


def check_fat(image: Path, offset: int, size: int) -> None:
    """The same for FAT, which its checker must have in a file of its own."""
    copy = image.with_name(f"{image.name}.fat")
    run("dd", f"if={image}", f"of={copy}", "bs=1M", "iflag=skip_bytes,count_bytes", f"skip={offset}", f"count={size}")
    run("fsck.vfat", "-n", copy)
    copy.unlink()
