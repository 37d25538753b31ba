"""What is remembered of a golden image is of that file, as it is now, and of the block map that is beside it now."""

import gzip
import hashlib
import os
import pwd
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from mtls_ambassador.flows.golden_image import golden_parts, golden_sha256
from mtls_ambassador.image.container import opened
from mtls_ambassador.image.identity import Identity
from mtls_ambassador.image.progress import no_progress
from mtls_ambassador.model.errors import AmbassadorError
from support.bmap import Memory, make_bmap

CONTENT = b"".join(bytes([mark]) * 4096 for mark in b"ab\0c\0\0de")
MAPPED = [(0, 1), (3, 3), (6, 7)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/mtls-ambassador/golden-images.json"


def settled(path: Path, content: bytes = CONTENT) -> Path:
    """A file whose last change is so long ago that another would show."""
    path.write_bytes(content)
    with path.open("rb") as file:
        while not Identity(file.fileno()).key:
            time.sleep(0.1)
    return path


def hashed(path: Path, done: Callable[[], object] = lambda: None) -> tuple[str, bool]:
    """The hash that is found while something else is done, and whether the image was read for it."""
    read = []
    with opened(path, to_write=False) as container:
        done()
        found = golden_sha256(container, lambda what, *_: read.append(what))
    return found.hex(), "hash" in read


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_it_is_read_once_until_it_changes_also_when_packed(tmp_path: Path) -> None:
    image, packed = tmp_path / "a.img", tmp_path / "b.img.gz"
    image.write_bytes(CONTENT)
    settled(packed, gzip.compress(CONTENT))
    for path in (image, packed):
        assert [hashed(path), hashed(path)] == [(sha256(CONTENT), True), (sha256(CONTENT), False)]
    image.write_bytes(CONTENT[::-1])
    os.utime(image, ns=(0, 0))
    assert hashed(image) == (sha256(CONTENT[::-1]), True)


def test_what_is_remembered_is_of_the_file_that_was_read_whatever_its_name_leads_to_by_then(tmp_path: Path) -> None:
    one, two, link = tmp_path / "one.img", tmp_path / "two.img", tmp_path / "golden.img"
    two.write_bytes(CONTENT[::-1])
    settled(one)
    link.symlink_to(one)

    def switch() -> None:
        link.unlink()
        link.symlink_to(two)

    assert hashed(link, switch) == (sha256(CONTENT), True)
    assert hashed(link)[0] == sha256(CONTENT[::-1])
    assert hashed(one) == (sha256(CONTENT), False)


def test_what_is_written_to_meanwhile_is_not_remembered(tmp_path: Path) -> None:
    path = settled(tmp_path / "b.img.gz", gzip.compress(CONTENT))
    hashed(path, lambda: path.write_bytes(gzip.compress(CONTENT[::-1])))
    settled(tmp_path / "wait")
    assert hashed(path) == (sha256(CONTENT[::-1]), True)


def test_a_user_without_a_home_folder_has_it_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> NoReturn:
        raise KeyError(number)

    image = settled(tmp_path / "a.img")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert [hashed(image), hashed(image)] == [(sha256(CONTENT), True)] * 2


@pytest.mark.parametrize("value", ["z" * 64, "é" * 64, "", "00"])
def test_what_is_remembered_and_no_hash_is_forgotten(tmp_path: Path, cache: Path, value: str) -> None:
    image = settled(tmp_path / "a.img")
    hashed(image)
    cache.write_text(cache.read_text().replace(sha256(CONTENT), value))
    assert hashed(image) == (sha256(CONTENT), True)


def mapped(path: Path) -> bool:
    """Whether the image was read for its map, which is found to be right."""
    read = []
    with opened(path, to_write=False) as container:
        golden_parts(path, container, lambda what, *_: read.append(what))
    return "map" in read


@pytest.mark.parametrize("version", ["1.2", "1.3", "2.0"])
def test_a_map_is_held_against_the_image_once_and_a_new_one_again(tmp_path: Path, version: str) -> None:
    image, bmap = settled(tmp_path / "a.img"), tmp_path / "a.bmap"
    bmap.write_text(make_bmap(Memory(CONTENT), MAPPED, version))
    assert [mapped(image), mapped(image)] == [True, False]
    bmap.write_text(make_bmap(Memory(CONTENT), [(0, 7)], version))
    assert mapped(image)
    bmap.write_text(make_bmap(Memory(CONTENT), MAPPED[1:], version))
    for _ in range(2):
        with pytest.raises(AmbassadorError, match=r"leaves out what is there at or after byte 0; .*`bmaptool create`"):
            mapped(image)


def test_another_images_map_is_refused(tmp_path: Path) -> None:
    image = settled(tmp_path / "a.img")
    (tmp_path / "a.img.bmap").write_text(make_bmap(Memory(CONTENT[::-1]), MAPPED, "2.0"))
    with (
        opened(image, to_write=False) as container,
        pytest.raises(AmbassadorError, match=r"a\.img\.bmap: does not fit it: blocks 0-1 .* remove it"),
    ):
        golden_parts(image, container, no_progress)
