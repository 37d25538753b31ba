"""A large file is copied out of an image without being held in memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.images import MIB, run


def _peak(image: Path, name: str, out: Path) -> int:
    """Bytes in memory at most, while a file is copied out."""
    child = subprocess.Popen([sys.executable, "-m", "mtls_ambassador", "image", "cp", f"{image}:/{name}", out])
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = status
    assert status == 0
    return used.ru_maxrss * 1024


@pytest.mark.parametrize(("system", "size"), [("ext4", 200), ("vfat", 48)])
def test_memory_is_flat(system: str, size: int, tmp_path: Path) -> None:
    tree, image, out = tmp_path / "tree", tmp_path / "image.img", tmp_path / "out"
    tree.mkdir()
    (tree / "small").write_bytes(b"small")
    with (tree / "large").open("wb") as large:
        for at in (0, size // 2 * MIB, size * MIB - 4):
            large.seek(at)
            large.write(b"mark")
    if system == "vfat":
        run("mkfs.vfat", "-C", image, str((size + 16) * 1024))
        run("mcopy", "-i", image, tree / "small", tree / "large", "::/")
    else:
        run("mke2fs", "-q", "-t", system, "-d", tree, image, f"{size + 40}M")
    small = _peak(image, "small", out)
    assert _peak(image, "large", out) < small + 12 * MIB
    run("cmp", tree / "large", out)
