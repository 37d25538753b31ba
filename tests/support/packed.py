"""Small images in files of all kinds, made and read by the tools that people have; `image` run as people run it."""

import os
import random
import subprocess
import sys
from pathlib import Path

NOISE = random.Random(1).randbytes(700_000)  # noqa: S311 - contents
ENVIRON = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
KINDS = ("gz", "xz", "zst", "bz2", "zip")
_PACK = {"gz": "gzip -c", "xz": "xz -0 -c", "zst": "zstd -q -c", "bz2": "bzip2 -c"}
_TEST = {"gz": "gzip -t", "xz": "xz -t", "zst": "zstd -q -t", "bz2": "bzip2 -t", "zip": "unzip -tq"}
_UNPACK = {"gz": "gzip -dc", "xz": "xz -dc", "zst": "zstd -q -dc", "bz2": "bzip2 -dc"}


def run(*words: str | Path, code: int = 0, folder: Path | None = None) -> bytes:
    """What a program says on standard output; it must end with `code`."""
    done = subprocess.run([*map(str, words)], capture_output=True, env=ENVIRON, cwd=folder, check=False)
    assert done.returncode == code, (words, done.stdout[-500:], done.stderr)
    return done.stdout


def image(*words: str | Path, code: int = 0, kill_at: str = "", prefix: tuple[str, ...] = ()) -> str:
    """What `mtls-ambassador image` says on standard error; it must end with `code`."""
    script = [str(Path(__file__).with_name("kill_at.py"))] if kill_at else ["-m", "mtls_ambassador"]
    done = subprocess.run(
        [*prefix, sys.executable, *script, "image", *map(str, words)],
        capture_output=True,
        text=True,
        env=ENVIRON | {"KILL_AT": kill_at},
        check=False,
    )
    assert done.returncode == code, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


def make_rootfs(path: Path, size: str = "8M") -> Path:
    """An ext4 with a file in it; most of it is holes."""
    tree = path.with_name(f"{path.name}-tree")
    (tree / "etc" / "mender").mkdir(parents=True)
    (tree / "etc" / "noise").write_bytes(NOISE)
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, path, size)
    return path


def pack(raw: Path, kind: str) -> Path:
    """The file in a packed one beside it."""
    packed = raw.with_name(f"{raw.name}.{kind}")
    if kind == "zip":
        raw.with_name("README").write_text("hello\n")
        run("zip", "-q", packed.name, "README", raw.name, folder=raw.parent)
    else:
        packed.write_bytes(run(*_PACK[kind].split(), raw))
    return packed


def unpacked(packed: Path, kind: str, target: Path) -> Path:
    """What the tool finds in it, once it has found it whole."""
    run(*_TEST[kind].split(), packed)
    if kind == "zip":
        target.write_bytes(run("unzip", "-p", packed, "*.img"))
    else:
        target.write_bytes(run(*_UNPACK[kind].split(), packed))
    return target


def file_in(raw: Path, path: str) -> bytes:
    """A file of an ext4, as debugfs reads it; the file system must be sound."""
    run("e2fsck", "-fn", raw)
    return run("debugfs", "-R", f"cat {path}", raw)


def names(folder: Path) -> set[str]:
    """What is in a folder."""
    return {item.name for item in folder.iterdir()}
