"""An edit that is killed (SIGKILL) anywhere is undone by the next command of any kind, and that works."""

from pathlib import Path

import pytest

from support import packed
from support.image_cli import copy, image, make_small, names, sha256
from support.images import Part, make_system

UNDO = "image.undo:Undo"
BEFORE = [
    f"{UNDO}.apply:before:1",
    f"{UNDO}._allocate:after:1",
    "image.undo:write_new:before:1",
    "pki.files:os.fsync:before:1",
    "image.undo:write_new:after:1",
    "image.undo:Path.rename:before:1",
]
"""There is no undo file yet, or none under its name."""
HALF = [
    "image.undo:Path.rename:after:1",
    "image.undo:sync_folder:after:1",
    "image.undo:os.pwrite:before:1",
    "image.undo:os.pwrite:after:1",
    "image.undo:os.pwrite:after:3",
    "image.undo:write_blocks:after:1",
    "image.undo:read_back:after:1",
    "image.check:_e2fsck:after:1",
    "flows.edit_image:Edit.verify:after:1",
    f"{UNDO}._forget:before:1",
]
DONE = [f"{UNDO}._forget:after:1"]


@pytest.fixture
def system(tmp_path: Path) -> Path:
    path = tmp_path / "data.ext4"
    make_system(path, Part(2, files={"etc/old": b"old\n"}))
    (tmp_path / "file").write_bytes(b"new\n" * 1000)
    return path


def killed(path: Path, point: str) -> None:
    file = path.with_name("file")
    packed.image("install", "-m", "600", file, f"{path}:/etc/old", code=-9, kill_at=point)


def test_killed_anywhere(tmp_path: Path, system: Path) -> None:
    golden, new = copy(system, tmp_path / "golden"), b"new\n" * 1000
    for number, point in enumerate(BEFORE + HALF + DONE):
        killed(system, point)
        assert ((tmp_path / ".data.ext4.undo").exists()) is (point in HALF), point
        if point in HALF:
            assert (tmp_path / ".data.ext4.undo").stat().st_mode & 0o777 == 0o600
        if number % 3 == 0:
            assert b"old" in image("ls", f"{system}:/etc").out
        elif number % 3 == 1:
            assert image("cat", f"{system}:/etc/old").out == (new if point in DONE else b"old\n")
        else:
            image("install", "-d", f"{system}:/etc/folder")
            image("rm", f"{system}:/etc/folder")
        assert names(tmp_path) == ["data.ext4", "file", "golden"], point
        if number % 3 != 2 and point not in DONE:
            assert sha256(system) == sha256(golden), point
        image("cp", tmp_path / "file", f"{system}:/etc/old")
        assert image("cat", f"{system}:/etc/old").out == new
        copy(golden, system)


@pytest.mark.parametrize(
    "point",
    [
        f"{UNDO}._read:after:1",
        "image.undo:os.pwrite:after:1",
        "image.undo:write_blocks:after:1",
        f"{UNDO}._forget:before:1",
        f"{UNDO}._forget:after:1",
    ],
)
def test_killed_while_it_is_undone(tmp_path: Path, system: Path, point: str) -> None:
    before = sha256(system)
    killed(system, HALF[-1])
    assert sha256(system) != before
    packed.image("ls", system, code=-9, kill_at=point)
    image("ls", system)
    assert sha256(system) == before
    assert names(tmp_path) == ["data.ext4", "file"]


def test_killed_between_a_and_b_and_in_fat(tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    make_small(card)
    golden = copy(card, tmp_path / "golden")
    (tmp_path / "file").write_bytes(b"new\n" * 1000)
    for path, point in (
        ("/etc/mender/mender.conf", "image.undo:os.pwrite:after:7"),
        ("/uboot/config.txt", "image.undo:os.pwrite:after:2"),
        ("/uboot/config.txt", "image.check:_fsck_vfat:after:1"),
    ):
        packed.image("cp", tmp_path / "file", f"{card}:{path}", code=-9, kill_at=point)
        assert sha256(card) != sha256(golden), point
        assert image("cat", f"{card}:{path}").out in {b"{}\n", b"arm_64bit=1\n"}
        assert sha256(card) == sha256(golden), point
        assert names(tmp_path) == ["card.img", "file", "golden"]
