"""What is no image, or cannot be read or written, is told by its name; pipes and devices are not even opened."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.image_cli import copy, image, key, make_small, names, refused, sha256
from support.images import Part, make_system, run

NOBODY = 65534


@pytest.fixture
def system(tmp_path: Path) -> Path:
    path = tmp_path / "data.ext4"
    make_system(path, Part(2, files={"etc/issue": b"hello\n"}))
    return path


def test_folders_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.img")
    for path, said in (
        (tmp_path, "is a folder, and no disk image"),
        (tmp_path / "pipe.img", "is no file, and no disk image"),
        (Path("/dev/zero"), "is no file, and no disk image"),
    ):
        for words in (("ls", path), ("cat", f"{path}:/etc/issue"), ("install", "-d", f"{path}:/etc/new")):
            assert image(*words, code=1).err == f"mtls-ambassador: {path}: {said}\n"


def test_a_disk_is_read_and_not_edited(tmp_path: Path, system: Path) -> None:
    device = run("losetup", "-f", "--show", system).decode().strip()
    try:
        for words in (("cat", f"{device}:/etc/issue"), ("cp", f"{device}:/etc/issue", "-")):
            assert image(*words).out == b"hello\n"
        assert image("ls", f"{device}:/etc").text.endswith(" issue\n")
        said = refused(system, "install", "-d", f"{device}:/etc/new")
    finally:
        run("losetup", "-d", device)
    assert f"{device}: is a disk; change the image in a file, then write that to it" in said
    assert names(tmp_path) == ["data.ext4"]


def test_missing_and_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.img").touch()
    (tmp_path / "short.img").write_bytes(b"x" * 511)
    (tmp_path / "zeros.img").write_bytes(bytes(1 << 20))
    (tmp_path / "circle.img").symlink_to("circle.img")
    (tmp_path / (long := f"{'n' * 237}.img")).touch()
    for name, said in (
        ("none.img", "No such file or directory"),
        ("none/a.img", "No such file or directory"),
        ("circle.img", "Too many levels of symbolic links"),
        ("empty.img", "is no disk image: it has 0 bytes"),
        ("short.img", "is no disk image: it has 511 bytes"),
        ("zeros.img", "no file system is in it"),
        (long, "its name is too long for the files beside it; 240 bytes are the most"),
    ):
        path = tmp_path / name
        assert image("cat", f"{path}:/etc/issue", code=1).err == f"mtls-ambassador: {path}: {said}\n"
        assert f"{path}: " in image("install", "-d", f"{path}:/etc/new", code=1).err


def test_a_name_as_long_as_it_may_be(tmp_path: Path, system: Path) -> None:
    path = system.rename(tmp_path / ("n" * 235 + ".ext4"))
    image("install", "-d", f"{path}:/etc/new")
    assert names(tmp_path) == [path.name]


@pytest.fixture
def shared(system: Path) -> Iterator[Path]:
    """An image where others may read it; pytest's folders are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield copy(system, Path(folder, "a.img"))


@contextmanager
def nobody(*preload: str | Path) -> Iterator[None]:
    """A user who owns nothing; what is loaded late is loaded before, since nobody may read this checkout."""
    image(*preload)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_another_users_image(shared: Path) -> None:
    install = ("install", "-d", f"{shared}:/etc/new")
    image("rm", f"{shared}:/etc/issue")
    for mode, words, said in (
        (0o600, ("ls", f"{shared}:/etc"), "Permission denied"),
        (0o644, install, "Permission denied"),
        (0o666, install, "what is to be replaced cannot be kept beside it: "),
    ):
        shared.chmod(mode)
        before = sha256(shared)
        with nobody("ls", f"{shared}:/etc"):
            told = image(*words, code=1).err
        assert told.startswith(f"mtls-ambassador: {shared}: {said}")
        assert (sha256(shared), names(shared.parent)) == (before, ["a.img"])
    shared.chmod(0o644)
    with nobody("ls", f"{shared}:/"):
        assert image("ls", f"{shared}:/").out


def test_an_interrupted_edit_that_this_user_cannot_undo(shared: Path) -> None:
    preload = ("install", "-d", f"{shared}:/etc/new")
    for mode, said in (
        (
            0o644,
            f"{shared}: Permission denied; an edit of it was interrupted, and is undone first, which needs writing",
        ),
        (
            0o666,
            ".a.img.undo: Permission denied; it undoes an edit that was interrupted: run this as who ran that edit",
        ),
    ):
        with nobody(*preload):
            os.seteuid(0)
            undo = shared.with_name(".a.img.undo")
            undo.write_bytes(b"x")
            undo.chmod(0o600)
            shared.chmod(mode)
            os.seteuid(NOBODY)
            assert said in image("ls", f"{shared}:/etc", code=1).err
        undo.unlink()


def test_a_read_only_file_system(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk)
    try:
        card = disk / "card.img"
        make_small(card)
        run("mount", "-o", "remount,ro", disk)
        said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/data/key.pem")
        assert said == f"mtls-ambassador: {card}: Read-only file system\n"
        assert image("cat", f"{card}:/etc/mender/mender.conf").out == b"{}\n"
        assert image("cat", f"{card}:/uboot/config.txt").out == b"arm_64bit=1\n"
    finally:
        run("umount", disk)
