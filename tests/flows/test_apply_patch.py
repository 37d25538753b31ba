"""Patches on files and disks: the right image or none, all of it or a clear word."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mtls_ambassador.image.patch import decode_patch
from support.bmap import Memory, make_bmap
from support.golden import KEY, Line, e2fsck, make_golden, read_image
from support.image_cli import copy as copied
from support.images import run


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("line"))
    line.provision("--count", "3", "--name", "cam-{n}")
    return line


@pytest.fixture
def patch(line: Line) -> Path:
    return line.home / "out/cam-1.patch"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_is_not_there_is_made_whole(line: Line, patch: Path, tmp_path: Path) -> None:
    golden = sha256(line.golden)
    said = line.run("image", "apply", patch, line.golden, tmp_path / "a.img")
    assert "cam-1: golden image and patch read back right" in said
    for number in (2, 3, 4):
        e2fsck(tmp_path / "a.img", number)
    assert (tmp_path / "a.img").stat().st_mode & 0o777 == 0o600
    assert sha256(line.golden) == golden


def test_a_copy_gets_the_patch_alone_and_a_second_time_nothing(line: Line, patch: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.img"
    shutil.copy(line.golden, copy)
    blocks = len(decode_patch(patch.read_bytes(), "x").blocks)
    assert f"cam-1: patch ({blocks} blocks) read back right" in line.run("image", "apply", patch, line.golden, copy)
    line.run("image", "apply", patch, line.golden, tmp_path / "new.img")
    assert sha256(copy) == sha256(tmp_path / "new.img")
    assert "was there already" in line.run("image", "apply", patch, line.golden, copy)


def test_what_an_interrupted_run_wrote_is_gone_on_with(line: Line, patch: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.img"
    shutil.copy(line.golden, copy)
    blocks = list(decode_patch(patch.read_bytes(), "x").blocks.items())
    with copy.open("r+b") as file:
        for offset, block in blocks[: len(blocks) // 2]:
            os.pwrite(file.fileno(), block, offset)
    line.run("image", "apply", patch, line.golden, copy)
    e2fsck(copy, 4)
    assert b"PRIVATE KEY" in read_image(copy, KEY)


def test_the_wrong_golden_image_is_refused_and_nothing_written(line: Line, patch: Path, tmp_path: Path) -> None:
    other = make_golden(tmp_path / "other.sdimg", conf="{}")
    one_byte = tmp_path / "one-byte.sdimg"
    shutil.copy(line.golden, one_byte)
    with one_byte.open("r+b") as file:
        file.seek(50 << 20)
        file.write(b"x")
    for golden in (other, one_byte):
        copy = tmp_path / "copy.img"
        shutil.copy(line.golden, copy)
        before = sha256(copy)
        said = line.run("image", "apply", patch, golden, copy, code=1)
        assert f"{golden}: is not the golden image that {patch} was made for" in said
        assert sha256(copy) == before
        line.run("image", "apply", patch, golden, tmp_path / "new.img", code=1)
        assert not (tmp_path / "new.img").exists()


def test_the_golden_image_changed_after_its_hash_was_remembered_is_refused(
    line: Line, patch: Path, tmp_path: Path
) -> None:
    golden = tmp_path / "golden.sdimg"
    shutil.copy(line.golden, golden)
    line.run("image", "apply", patch, golden, tmp_path / "a.img")
    with golden.open("r+b") as file:
        file.seek(20 << 20)
        file.write(b"other")
    os.utime(golden, ns=(0, 0))
    assert "is not the golden image" in line.run("image", "apply", patch, golden, tmp_path / "b.img", code=1)


def test_another_devices_image_is_refused(line: Line, patch: Path, tmp_path: Path) -> None:
    line.run("image", "apply", line.home / "out/cam-2.patch", line.golden, tmp_path / "two.img")
    before = sha256(tmp_path / "two.img")
    said = line.run("image", "apply", patch, line.golden, tmp_path / "two.img", code=1)
    assert "is neither the golden image's nor that of cam-1; nothing was written" in said
    assert sha256(tmp_path / "two.img") == before


def test_an_edit_of_the_copy_that_was_interrupted_is_undone_first(line: Line, patch: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.img"
    shutil.copy(line.golden, copy)
    line.run("image", "rm", f"{copy}:/etc/mender/mender.conf", code=-9, kill_at="image.undo:Undo._forget:before:1")
    assert sha256(copy) != sha256(line.golden)
    assert "read back right" in line.run("image", "apply", patch, line.golden, copy)
    line.run("image", "apply", patch, line.golden, tmp_path / "new.img")
    assert sha256(copy) == sha256(tmp_path / "new.img")
    assert not (tmp_path / ".copy.img.undo").exists()


def test_targets_that_are_none(line: Line, patch: Path, tmp_path: Path) -> None:
    (tmp_path / "short.img").write_bytes(b"x" * 4096)
    for target, said in (
        (line.golden, "is the golden image itself"),
        (tmp_path / "short.img", "no copy of the golden image: it has another size"),
        (tmp_path, "is a folder, and no disk image"),
        (tmp_path / "none/a.img", "No such file or directory"),
        (Path("/dev/null"), "/dev/null: is no disk"),
    ):
        assert said in line.run("image", "apply", patch, line.golden, target, code=1)


def test_a_disk_that_is_not_there_is_no_new_file(line: Line, patch: Path, tmp_path: Path) -> None:
    own, link = tmp_path / "own.patch", tmp_path / "card"
    shutil.copy(patch, own)
    missing = Path(f"/dev/disk-{tmp_path.name}")
    link.symlink_to(missing)
    for target, said in (
        (missing, "no such disk; is the card plugged in?"),
        (link, "no such disk; is the card plugged in?"),
        (tmp_path / "a.img", "is not there, so that it cannot have the golden image already"),
    ):
        words = ("--patch-only", "--shred", "--yes") if target != missing else ("--shred", "--yes")
        assert f"{target}: {said}" in line.run("image", "apply", own, line.golden, target, *words, code=1)
        assert not target.exists()
    assert sha256(own) == sha256(patch)


def test_a_map_beside_a_copy_is_kept_right(line: Line, patch: Path, tmp_path: Path) -> None:
    image, bmap, out = copied(line.golden, tmp_path / "copy.img"), tmp_path / "copy.bmap", tmp_path / "out.img"
    run("bmaptool", "create", "-o", bmap, image)
    (tmp_path / "copy.bmap.asc").touch()
    said = line.run("image", "apply", patch, line.golden, image)
    assert "copy.bmap.asc: no longer fits copy.bmap" in said
    run("bmaptool", "copy", "--no-sig-verify", "--bmap", bmap, image, out)
    assert sha256(out) == sha256(image)


def test_another_images_map_is_refused_and_nothing_written(line: Line, patch: Path, tmp_path: Path) -> None:
    golden, image = copied(line.golden, tmp_path / "golden.img"), copied(line.golden, tmp_path / "copy.img")
    before, bmap = sha256(image), tmp_path / "golden.bmap"
    bmap.write_text(make_bmap(Memory(bytes(golden.stat().st_size)), [(0, 0)], "1.2"))
    said = line.run("image", "apply", patch, golden, image, code=1)
    assert f"{bmap}: does not fit it: leaves out what is there" in said
    assert "taken for the map of golden.img: remove it" in said
    run("bmaptool", "create", "-o", bmap, golden)
    for target in (copied(golden, tmp_path / "golden.img.copy"), tmp_path / "golden.img.new"):
        said = line.run("image", "apply", patch, golden, target, code=1)
        assert f"{bmap}: would be taken for the block map of {target.name}" in said
    assert sha256(image) == sha256(tmp_path / "golden.img.copy") == before
    assert not (tmp_path / "golden.img.new").exists()
    line.run("image", "apply", patch, golden, image)


def test_a_damaged_patch_and_what_is_no_patch(line: Line, patch: Path, tmp_path: Path) -> None:
    data = patch.read_bytes()
    for name, content, said in (
        ("cut", data[:-1], "is damaged or cut off"),
        ("flipped", data[:500] + bytes([data[500] ^ 1]) + data[501:], "is damaged or cut off"),
        ("empty", b"", "is not a file of the kind"),
        ("text", b"hello\n", "is not a file of the kind"),
    ):
        (tmp_path / name).write_bytes(content)
        assert said in line.run("image", "apply", tmp_path / name, line.golden, tmp_path / "a.img", code=1)
    assert not (tmp_path / "a.img").exists()


def test_the_patch_is_shredded_only_after_it_is_on_its_device(line: Line, patch: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.patch"
    shutil.copy(patch, own)
    line.run("image", "apply", own, line.home / "nowhere", tmp_path / "a.img", "--shred", code=1)
    assert own.exists()
    line.run("image", "apply", own, line.golden, tmp_path / "a.img", "--shred")
    assert not own.exists()


def test_full_disk_leaves_no_half_image(line: Line, patch: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", small], check=True)
    try:
        said = line.run("image", "apply", patch, line.golden, small / "a.img", code=1)
        assert "No space left on device" in said
        assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", small], check=True)
