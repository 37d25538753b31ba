"""A disk image as Mender's builds make it: boot (FAT), root file system A and B with a gigabyte of files each, data."""

import random
import subprocess
from pathlib import Path

MIB = 1 << 20
BOOT, ROOTFS, DATA = 64, 1768, 456
"""MiB: 4 080 together, beginning at 24."""
_START = 24
_FILES = 1 << 30
_CONF = '{"ServerURL": "https://hosted.mender.io/", "TenantToken": "TENANT_TOKEN"}\n'


def make_image(folder: Path) -> Path:
    """Make it; takes a minute and 4 GB, half of it holes."""
    image, tree = folder / "golden.sdimg", folder / "tree"
    _fill(tree)
    run("truncate", "-s", f"{_START + BOOT + 2 * ROOTFS + DATA + 8}M", image)
    edges = [_START, _START + BOOT, _START + BOOT + ROOTFS, _START + BOOT + 2 * ROOTFS]
    sizes = [BOOT, ROOTFS, ROOTFS, DATA]
    parts = [
        word for at, size in zip(edges, sizes, strict=True) for word in ("mkpart", "primary", str(at), str(at + size))
    ]
    run("parted", "-s", image, "mklabel", "msdos", "unit", "MiB", *parts)
    rootfs, data, boot = folder / "rootfs", folder / "data", folder / "boot"
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, rootfs, f"{ROOTFS}M")
    (folder / "empty" / "mender").mkdir(parents=True)
    run("mke2fs", "-q", "-t", "ext4", "-L", "data", "-d", folder / "empty", data, f"{DATA}M")
    run("truncate", "-s", f"{BOOT}M", boot)
    run("mkfs.vfat", "-n", "BOOT", boot)
    for at, file in zip(edges, (boot, rootfs, rootfs, data), strict=True):
        run("dd", f"if={file}", f"of={image}", "bs=1M", f"seek={at}", "conv=notrunc,sparse", "status=none")
    for file in (rootfs, data, boot):
        file.unlink()
    return image


def _fill(tree: Path) -> None:
    """Sixteen thousand files of the sizes that root file systems have, and Mender's own."""
    noise, rng, total, number = random.Random(1).randbytes(MIB) * 5, random.Random(1), 0, 0  # noqa: S311 - contents
    while total < _FILES:
        size = min(int(rng.lognormvariate(9.2, 2)), 4 * MIB)
        file = tree / "usr" / "lib" / f"d{number // 50}" / f"f{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(noise[number % 4096 : number % 4096 + size])
        total, number = total + size, number + 1
    (tree / "etc" / "mender").mkdir(parents=True)
    (tree / "etc" / "mender" / "mender.conf").write_text(_CONF)
    (tree / "var" / "lib").mkdir(parents=True)
    (tree / "var" / "lib" / "mender").symlink_to("/data/mender")


def run(*command: str | Path) -> None:
    """A program that must succeed; what it says is only shown when it does not."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
