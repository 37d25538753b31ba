"""An edit that fails after it was written is undone, and whose fault it is is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.image_cli import copy, debugfs, image, key, make_small, names, patch_bytes, refused, sha256
from support.images import Part, make_system, run


@pytest.fixture
def system(tmp_path: Path) -> Path:
    path = tmp_path / "data.ext4"
    make_system(path, Part(2, files={"etc/old": b"old\n", "other": b"other\n"}))
    return path


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sif /other links_count 7", " ref count is 7, should be 1."),
        ("freeb 600 2", "Block bitmap differences:"),
        ("freei /other", "Inode bitmap differences:"),
        ("ssv free_blocks_count 7", "Free blocks count wrong (7"),
        ("clri /other", "deleted/unused inode"),
    ],
)
def test_a_file_system_damaged_elsewhere_is_told_as_damaged_before(
    tmp_path: Path, system: Path, command: str, said: str
) -> None:
    system.unlink()
    make_system(system, Part(2, files={"etc/old": b"old\n", "other": b"x" * 600_000}))
    debugfs(system, command)
    told = refused(system, "install", "-m", "600", key(tmp_path), f"{system}:/etc/key.pem")
    assert f"{system}: its file system (ext4) was damaged before (" in told
    assert said in told
    assert "); nothing was changed; repair it first, see docs/factory/images.md" in told
    assert "/proc/" not in told
    assert "? no" not in told
    assert image("cat", f"{system}:/etc/old").out == b"old\n"


def test_a_damaged_partition_is_named_and_stops_the_other(tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    starts = make_small(card)
    debugfs(card, "sif /etc/mender links_count 9", starts[2])
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/etc/mender/key.pem")
    assert f"{card}: partition 3 (ext4) was damaged before (Inode " in said
    assert "ref count is 9, should be 2." in said


def test_a_damaged_fat_is_told_as_damaged_before(tmp_path: Path) -> None:
    system = tmp_path / "boot.vfat"
    make_system(system, Part(1, "vfat", files={"big": b"x" * 100_000, "small": b"y"}))
    fat = 512 * int.from_bytes(system.read_bytes()[14:16], "little")
    patch_bytes(system, fat + 30, b"\xff\xff\xff")
    said = refused(system, "cp", key(tmp_path), f"{system}:/key.pem")
    assert f"{system}: its file system (vfat) was damaged before (" in said
    assert "FATs differ" in said


@contextmanager
def checker(folder: Path, script: str) -> Iterator[None]:
    """Another e2fsck, found before the real one."""
    program = folder / "bin" / "e2fsck"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nPATH={os.environ['PATH']}:/usr/sbin:/sbin\n{script}\n")
    program.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{program.parent}:{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before
        run("rm", "-r", program.parent)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -9 $$", "its file system (ext4) cannot be checked: e2fsck ended with -9; nothing was changed"),
        (
            "echo 'No such device'; exit 8",
            "cannot be checked: e2fsck ended with 8; No such device; nothing was changed",
        ),
        ("exit 4", "was damaged before (e2fsck ended with 4); nothing was changed"),
    ],
)
def test_a_checker_that_cannot_check_counts_as_a_fault(tmp_path: Path, system: Path, script: str, said: str) -> None:
    key(tmp_path)
    with checker(tmp_path, script):
        assert said in refused(system, "install", "-m", "600", key(tmp_path), f"{system}:/etc/key.pem")


def test_damage_by_the_edit_itself_is_to_be_reported(tmp_path: Path, system: Path) -> None:
    once = f"if mkdir {tmp_path}/once 2>/dev/null; then echo 'Inode 12 is bad.  Fix? no'; exit 0; fi"
    real = run("sh", "-c", "command -v e2fsck").decode().strip()
    before = sha256(system)
    with checker(tmp_path, f'{once}\nexec {real} "$@"'):
        said = image("install", "-m", "600", key(tmp_path), f"{system}:/etc/key.pem", code=1).err
    assert (
        f"{system}: the change would have damaged its file system (ext4): Inode 12 is bad.; nothing was changed" in said
    )
    assert "nothing was changed; please report this" in said
    assert sha256(system) == before


@pytest.mark.parametrize(("name", "ended"), [("INT", 130), ("TERM", -signal.SIGTERM), ("HUP", -signal.SIGHUP)])
def test_stopped_by_a_person_or_the_system(tmp_path: Path, system: Path, name: str, ended: int) -> None:
    before = sha256(system)
    # As in a terminal, also where whoever runs the tests has them ignored, as a shell does for what runs behind it.
    argv = ["env", "--default-signal=INT,TERM,HUP", sys.executable, "-m", "mtls_ambassador"]
    argv += ["image", "install", "-d", f"{system}:/new"]
    with checker(tmp_path, f"kill -{name} $PPID; sleep 0.2"):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == ended
    assert (sha256(system) == before) is (name == "INT")
    image("ls", system)
    assert sha256(system) == before
    assert names(tmp_path) == ["data.ext4"]


def test_without_a_checker_nothing_is_changed(tmp_path: Path, system: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    before = sha256(system)
    hidden = 'mount --bind "$1" /usr/sbin; shift; exec "$@"'
    argv = [sys.executable, "-m", "mtls_ambassador", "image", "install", "-d", f"{system}:/new"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hidden, "sh", empty, *argv], capture_output=True, text=True, check=False
    )
    assert "e2fsck is needed for that (Debian package e2fsprogs); nothing was changed" in done.stderr
    assert (done.returncode, sha256(system)) == (1, before)


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def fill(folder: Path, room: int) -> None:
    """Have so many bytes of a disk left."""
    status = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - room)


def test_a_full_disk_leaves_the_image_as_it_was(tmp_path: Path) -> None:
    golden = tmp_path / "golden"
    make_system(golden, Part(64, "ext4", ("-O", "^has_journal"), files={"etc/old": b"old\n"}))
    (tmp_path / "file").write_bytes(b"x" * 20_000)
    before, told = sha256(golden), []
    for room in range(0, 1 << 18, 4096):
        with tmpfs(tmp_path / "disk", "4m") as disk:
            system = copy(golden, disk / "data.ext4")
            fill(disk, room)
            said = image("install", "-m", "600", tmp_path / "file", f"{system}:/etc/new", code=None)
            assert names(disk) == ["data.ext4", "filler"]
            if said.code == 0:
                assert image("cat", f"{system}:/etc/new").out == b"x" * 20_000
                break
            assert "No space left on device; nothing was changed" in said.err
            assert sha256(system) == before
            told.append("image" if f"{system}: cannot be written" in said.err else "undo file")
    assert sorted(set(told)) == ["image", "undo file"]


def test_a_full_folder_for_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "boot.vfat"
    make_system(system, Part(2, "vfat", files={"old": b"x" * 1_900_000}))
    with tmpfs(tmp_path / "disk", "1m") as disk:
        monkeypatch.setattr("tempfile.tempdir", str(disk))
        said = refused(system, "cp", key(tmp_path), f"{system}:/key.pem")
    assert f"{system}: a copy of it in the folder for temporary files (TMPDIR): No space left on device" in said
