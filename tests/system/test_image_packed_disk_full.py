"""A disk that is full when an image is unpacked or packed again leaves the old image, and it is said what happened."""

import subprocess
import sys
from pathlib import Path

from support.packed import ENVIRON, make_rootfs, names, pack

SCRIPT = """
set -u
mount -t tmpfs -o size=$SIZE,mode=700 tmpfs "$DISK"
cp "$PACKED" "$DISK/a.img.gz"
"$@"; echo "ended $?"
cp -a "$DISK" "$COPY"
"""


def edited(tmp_path: Path, packed: Path, size: str) -> tuple[str, str, Path]:
    disk, copy = tmp_path / "disk", tmp_path / f"copy-{size}"
    disk.mkdir(exist_ok=True)
    environ = ENVIRON | {"DISK": str(disk), "COPY": str(copy), "PACKED": str(packed), "SIZE": size}
    words = [sys.executable, "-m", "mtls_ambassador", "image", "install", "-d", f"{disk / 'a.img.gz'}:/etc/new"]
    program = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]
    done = subprocess.run([*program, *words], env=environ, capture_output=True, text=True, check=False)
    return done.stdout, done.stderr, copy


def test_a_full_disk_leaves_the_old_image(tmp_path: Path) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    packed = pack(raw, "gz")
    size, needs = packed.stat().st_size // 1024, raw.stat().st_blocks // 2
    told = []
    for room in range(size + 64, 3 * size + needs, size // 3):
        out, said, copy = edited(tmp_path, packed, f"{room}k")
        assert names(copy) == {"a.img.gz"}
        if "ended 0" in out:
            assert (copy / "a.img.gz").read_bytes() != packed.read_bytes()
            break
        assert "ended 1" in out, said
        assert "No space left on device" in said
        assert (copy / "a.img.gz").read_bytes() == packed.read_bytes()
        told.append("unpacked" if "cannot be unpacked" in said else "packed")
    else:
        raise AssertionError("there was never room")
    assert set(told) == {"unpacked", "packed"}
