"""A file system without room refuses a file, says so, and keeps the one that would have been replaced."""

import random
import subprocess
from pathlib import Path

import pytest

from support.image_cli import debugfs, image, key, names, refused
from support.images import Part, check_ext, make_system, run

NOISE = random.Random(1).randbytes(3 << 20)  # noqa: S311 - contents
OLD = b"the old one\n"


def full(path: Path, options: tuple[str, ...] = ()) -> Path:
    """An ext4 in which no block is free, with a file in it."""
    make_system(path, Part(2, "ext4", ("-b", "1024", *options), files={"etc/old": OLD}))
    filler = path.with_name("filler")
    filler.write_bytes(NOISE)
    debugfs(path, f"write {filler} filler")
    filler.unlink()
    assert "Free blocks:              0" in run("dumpe2fs", "-h", path).decode()
    check_ext(path)
    return path


@pytest.mark.parametrize("options", [(), ("-m", "10")])
def test_no_free_block(tmp_path: Path, options: tuple[str, ...]) -> None:
    system = full(tmp_path / "data.ext4", options)
    said = refused(system, "install", "-m", "600", key(tmp_path), f"{system}:/etc/key.pem")
    assert f"{system}: /etc/key.pem: no room: not one free block is left in this file system" in said
    said = refused(system, "install", "-d", f"{system}:/etc/new")
    assert "/etc/new: no room: not one free block" in said
    image("rm", f"{system}:/filler")
    image("install", "-m", "600", key(tmp_path), f"{system}:/etc/key.pem")


def test_the_old_file_is_kept_when_the_new_one_does_not_fit(tmp_path: Path) -> None:
    system = full(tmp_path / "data.ext4")
    (tmp_path / "large").write_bytes(bytes(8192))
    assert "/etc/old: no room" in refused(system, "cp", tmp_path / "large", f"{system}:/etc/old")
    assert image("cat", f"{system}:/etc/old").out == OLD
    # Where the new one takes the room of the old one there is enough.
    (tmp_path / "small").write_bytes(b"the new one\n")
    image("cp", tmp_path / "small", f"{system}:/etc/old")
    assert image("cat", f"{system}:/etc/old").out == b"the new one\n"


def test_no_free_inode(tmp_path: Path) -> None:
    system = tmp_path / "data.ext4"
    make_system(system, Part(2, "ext4", ("-N", "16"), files={"etc/old": OLD}))
    free = int(run("dumpe2fs", "-h", system).decode().split("Free inodes:")[1].split()[0])
    for number in range(free):
        image("install", "-d", f"{system}:/{number}")
    said = refused(system, "install", "-m", "600", key(tmp_path), f"{system}:/etc/key.pem")
    assert f"{system}: /etc/key.pem: no room: not one free inode is left in this file system" in said
    image("cp", key(tmp_path), f"{system}:/etc/old")
    check_ext(system)


def test_a_full_fat(tmp_path: Path) -> None:
    system = tmp_path / "boot.vfat"
    make_system(system, Part(1, "vfat", files={"old": OLD}))
    (tmp_path / "large").write_bytes(NOISE[: 2 << 20])
    said = refused(system, "cp", tmp_path / "large", f"{system}:/old")
    assert f"{system}: /old: no room" in said
    assert image("cat", f"{system}:/old").out == OLD
    for size in range(900, 0, -100):
        (tmp_path / "large").write_bytes(NOISE[: size << 10])
        subprocess.run(["mcopy", "-i", system, tmp_path / "large", f"::/{size}"], capture_output=True, check=False)
    (tmp_path / "large").write_bytes(NOISE[: 200 << 10])
    assert f"{system}: /new: no room" in refused(system, "cp", tmp_path / "large", f"{system}:/new")
    run("fsck.vfat", "-n", system)
    assert "new" not in image("ls", f"{system}:/").text
    assert names(tmp_path) == ["boot.vfat", "large"]
