"""Thousands of entries in a folder, indexed or not, large files, and files that are mostly holes."""

import random
import subprocess
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import edit_image
from mtls_ambassador.flows.read_image import image_to_read, listed, open_file
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY
from support.ext_features import FEATURES
from support.image_model import NOW, Modelled, put, remove
from support.image_readers import assert_agreed
from support.images import MIB, Part, check_ext, make_system, run

_WANTED = Attributes(0o644, 0, 0, NOW)
_NOISE = random.Random(1).randbytes(12 * MIB)  # noqa: S311 - contents


def _names(what: str, numbers: range) -> list[str]:
    return [f"big/{what}{number:04}" for number in numbers]


def test_two_thousand_files_in_a_folder(tmp_path: Path) -> None:
    image = tmp_path / "image.ext4"
    make_system(image, Part(24, options=("-N", "4096"), files={"big": None}))
    modelled = Modelled(image)
    modelled.edit(*(put(name, name.encode(), _WANTED) for name in _names("file-", range(2000))))
    modelled.edit(*(remove(name) for name in _names("file-", range(0, 2000, 20))))
    modelled.check()


@pytest.mark.parametrize("name", ["default", "ext3", "inline-data-1k"])
def test_a_folder_with_an_index_keeps_it(name: str, tmp_path: Path) -> None:
    image = tmp_path / "image.ext4"
    system, options = FEATURES[name]
    files = dict.fromkeys(_names("n" * 120, range(150)), b"x")
    make_system(image, Part(12, system, (*options, "-N", "1024"), files=files))
    subprocess.run(["e2fsck", "-fyD", image], check=False, capture_output=True)  # makes the index, and exits with 1
    modelled = Modelled(image)
    assert _has_index(image)
    new = _names("m" * 120, range(150))
    modelled.edit(*(put(entry, entry.encode(), _WANTED) for entry in new))
    modelled.edit(*(put(entry, b"2", _WANTED) for entry in new[::3]), *(remove(entry) for entry in new[1::3]))
    assert _has_index(image)
    modelled.check()


def _has_index(image: Path) -> bool:
    return "Flags: 0x81000" in (said := run("debugfs", "-R", "stat /big", image).decode()) or "Flags: 0x1000" in said


@pytest.mark.parametrize("name", ["ext2", "default", "bigalloc"])
def test_a_large_file(name: str, tmp_path: Path) -> None:
    image = tmp_path / "image.ext4"
    system, options = FEATURES[name]
    make_system(image, Part(32, system, options, files={"old": b"old"}))
    modelled = Modelled(image)
    modelled.edit(put("old", _NOISE, _WANTED))
    modelled.check()
    modelled.edit(put("old", b"small", _WANTED), put("second", _NOISE[:40_000], _WANTED))
    modelled.check()


@pytest.mark.parametrize("name", ["default", "ext2", "bigalloc"])
def test_holes_read_as_zeros(name: str, tmp_path: Path) -> None:
    image, tree = tmp_path / "image.ext4", tmp_path / "tree"
    tree.mkdir()
    for file, marks in {"middle": (5_000_000,), "ends": (0, 3_000_000), "end": (7_000_000,)}.items():
        with (tree / file).open("wb") as out:
            for mark in marks:
                out.seek(mark)
                out.write(b"mark")
            out.truncate(7_000_100)
    system, options = FEATURES[name]
    run("mke2fs", "-q", "-F", "-t", system, *options, "-d", tree, image, "16M")
    seen = assert_agreed(image)
    assert {path: seen[path.encode()].content for path in ("middle", "ends", "end")} == {
        file.name: file.read_bytes() for file in tree.iterdir()
    }
    edit_image(image, ANY, NOW, lambda edit: edit.put_file(("ends",), b"no more holes", _WANTED))
    check_ext(image)


@pytest.mark.parametrize("name", ["4k-blocks", "no-extents"])
def test_sizes_beyond_4_gib(name: str, tmp_path: Path) -> None:
    image, tree = tmp_path / "image.ext4", tmp_path / "tree"
    tree.mkdir()
    with (tree / "large").open("wb") as large:
        large.seek(5 << 30)
        large.write(b"end")
    system, options = FEATURES[name]
    run("mke2fs", "-q", "-F", "-t", system, *options, "-b", "4096", "-d", tree, image, "6G")
    with image_to_read(image) as opened:
        assert [entry.size for entry in listed(opened, ("large",))] == [(5 << 30) + 3]
        assert next(open_file(opened, ("large",)).chunks()) == bytes(MIB)
    edit_image(image, ANY, NOW, lambda edit: edit.put_file(("large",), b"small", _WANTED))
    check_ext(image)
    with image_to_read(image) as opened:
        assert open_file(opened, ("large",)).read() == b"small"


def test_what_mender_artifact_cuts_off_is_read_whole(tmp_path: Path) -> None:
    image = tmp_path / "image.ext4"
    make_system(image, Part(8, files={"file": _NOISE[:40_000]}))
    assert len(run("mender-artifact", "cat", f"{image.rename(tmp_path / 'image.img')}:/file")) == 32_768
    with image_to_read(tmp_path / "image.img") as opened:
        assert open_file(opened, ("file",)).read() == _NOISE[:40_000]
