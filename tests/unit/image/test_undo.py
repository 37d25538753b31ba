"""An edit of a file and its undo file: all or nothing, also on the next start, and never into another image."""

import json
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.blocks import decode, encode
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.undo import Undo, read_back, write_blocks
from mtls_ambassador.image.undo_file import MAX_SIZE
from mtls_ambassador.model.errors import AmbassadorError
from support.bmap import image as mapped_image
from support.bmap import make_bmap

KIND = "mtls-ambassador undo 1"
OLD = b"".join(bytes([65 + page]) * 4096 for page in range(4)) + b"tail"
CHANGES = {4096: b"1" * 4096, 12288: b"2" * 4096, 16384: b"3333"}
NEW = OLD[:4096] + b"1" * 4096 + OLD[8192:12288] + b"2" * 4096 + b"3333"
FILE = ".a.img.undo"
MAP_BEFORE, MAP_AFTER = (make_bmap(mapped_image(), ranges, "2.0") for ranges in ([(0, 2)], [(0, 3)]))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.img"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def descriptor(image: Path) -> Iterator[int]:
    descriptor = os.open(image, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def refuse(image: RawFile) -> None:
    del image
    raise AmbassadorError("unsound")


def interrupted(image: Path, descriptor: int) -> bytes:
    """An edit of which all is written and that did not come to its end; returns its undo file."""
    kept = b""

    def keep(raw: RawFile) -> None:
        nonlocal kept
        del raw
        kept = (image.parent / FILE).read_bytes()

    Undo(image).apply(descriptor, CHANGES, keep)
    (image.parent / FILE).write_bytes(kept)
    return kept


def names(image: Path) -> list[str]:
    return sorted(path.name for path in image.parent.iterdir())


def test_all_is_written_and_nothing_left_behind(image: Path, descriptor: int) -> None:
    seen = []

    def check(raw: RawFile) -> None:
        seen.append(raw.read(0, raw.size))
        assert (image.parent / FILE).stat().st_mode & 0o777 == 0o600
        assert names(image) == [FILE, "a.img"]

    Undo(image).apply(descriptor, CHANGES, check)
    assert (seen, image.read_bytes(), names(image)) == ([NEW], NEW, ["a.img"])


def test_a_check_that_fails_leaves_the_file_as_it_was(image: Path, descriptor: int) -> None:
    with pytest.raises(AmbassadorError, match="unsound"):
        Undo(image).apply(descriptor, CHANGES, refuse)
    assert (image.read_bytes(), names(image)) == (OLD, ["a.img"])


def test_nothing_interrupted_is_nothing_to_do(image: Path, descriptor: int) -> None:
    Undo(image).settle(descriptor)
    assert (image.read_bytes(), names(image)) == (OLD, ["a.img"])


@pytest.mark.parametrize("written", [0, 4096, 4096 + 512, 8192 + 1024, 20000])
def test_an_interrupted_edit_is_undone_however_far_it_came(image: Path, descriptor: int, written: int) -> None:
    interrupted(image, descriptor)
    image.write_bytes(NEW[:written] + OLD[written:])
    Undo(image).settle(descriptor)
    assert (image.read_bytes(), names(image)) == (OLD, ["a.img"])


def test_an_undo_file_that_was_never_finished_is_removed(image: Path, descriptor: int) -> None:
    (image.parent / f"{FILE}.new").write_bytes(b"half of")
    Undo(image).settle(descriptor)
    assert names(image) == ["a.img"]
    (image.parent / f"{FILE}.new").write_bytes(b"half of")
    Undo(image).apply(descriptor, CHANGES, lambda _: None)
    assert (image.read_bytes(), names(image)) == (NEW, ["a.img"])


@pytest.mark.parametrize("place", [4096, 4607, 12288, 16387])
def test_an_undo_file_of_another_image_is_told_and_not_applied(image: Path, descriptor: int, place: int) -> None:
    kept = interrupted(image, descriptor)
    other = NEW[:place] + b"?" + NEW[place + 1 :]
    image.write_bytes(other)
    with pytest.raises(AmbassadorError, match=f"byte {place // 512 * 512} on is neither as it was .* nor after"):
        Undo(image).settle(descriptor)
    assert (image.read_bytes(), (image.parent / FILE).read_bytes()) == (other, kept)


def test_an_image_of_another_size_has_another_undo_file(image: Path, descriptor: int) -> None:
    interrupted(image, descriptor)
    image.write_bytes(NEW + b"more")
    with pytest.raises(AmbassadorError, match="it was of an image of 16388 bytes, and this one has 16392"):
        Undo(image).settle(descriptor)
    assert image.read_bytes() == NEW + b"more"


def test_a_damaged_undo_file_is_told_with_what_to_do(image: Path, descriptor: int) -> None:
    kept = interrupted(image, descriptor)
    (image.parent / FILE).write_bytes(kept[:-1])
    with pytest.raises(AmbassadorError) as told:
        Undo(image).settle(descriptor)
    assert str(told.value) == (
        f"{image}: an edit of it was interrupted and cannot be undone: {FILE}: is damaged or cut off (its checksum is"
        f" wrong). Put a good copy of the image in its place, or see that it is whole, then remove {FILE} beside it"
    )
    assert image.read_bytes() == NEW


def test_an_undo_file_that_is_a_folder_is_told(image: Path, descriptor: int) -> None:
    (image.parent / FILE).mkdir()
    with pytest.raises(AmbassadorError, match=f"{FILE}: is no file. Put a good copy of the image in its place"):
        Undo(image).settle(descriptor)


def test_what_never_ends_or_is_too_large_is_no_undo_file(image: Path, descriptor: int) -> None:
    path = image.parent / FILE
    os.mkfifo(path)
    with pytest.raises(AmbassadorError, match="is no file"):
        Undo(image).settle(descriptor)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(AmbassadorError, match="is a symbolic link, and is not followed"):
        Undo(image).settle(descriptor)
    path.unlink()
    path.touch()
    os.truncate(path, MAX_SIZE + 1)
    with pytest.raises(AmbassadorError, match=f"has {MAX_SIZE + 1} bytes; {MAX_SIZE} are the most"):
        Undo(image).settle(descriptor)
    assert image.read_bytes() == OLD


FACTS = {"size": len(OLD), "beside": {}, "new": ""}


@pytest.mark.parametrize(
    ("facts", "blocks", "said"),
    [
        ({"size": "16388"}, {}, "has another head than an edit writes"),
        ({"beside": []}, {}, "has another head than an edit writes"),
        ({"new": None}, {}, "has another head than an edit writes"),
        ({"size": None}, {}, "has another head than an edit writes"),
        ({}, {len(OLD) - 1: b"xx"}, "has blocks behind the image's end"),
        ({}, {2**63: b"xx"}, "has blocks behind the image's end"),
        ({}, {0: b"x" * 512}, "byte 0 on is neither"),
    ],
)
def test_what_no_edit_wrote_changes_nothing(
    image: Path, descriptor: int, facts: dict[str, object], blocks: dict[int, bytes], said: str
) -> None:
    (image.parent / FILE).write_bytes(encode(KIND, FACTS | facts, blocks))
    with pytest.raises(AmbassadorError, match=said):
        Undo(image).settle(descriptor)
    assert image.read_bytes() == OLD


def test_only_the_block_map_beside_the_image_is_put_back_with_it(image: Path, descriptor: int) -> None:
    bmap, other = image.with_name("a.img.bmap"), image.with_name("b.img.bmap")
    beside = dict.fromkeys(("a.img.bmap", "b.img.bmap", "../outside", "a.img"), MAP_BEFORE)
    for path in (bmap, other):
        path.write_text(MAP_AFTER)
    (image.parent / FILE).write_bytes(encode(KIND, FACTS | {"beside": beside}, {}))
    Undo(image).settle(descriptor)
    assert (bmap.read_text(), other.read_text(), image.read_bytes()) == (MAP_BEFORE, MAP_AFTER, OLD)
    assert not (image.parent.parent / "outside").exists()
    assert names(image) == ["a.img", "a.img.bmap", "b.img.bmap"]


@pytest.mark.parametrize("kept", ["attacker's text", MAP_BEFORE])
def test_nothing_is_written_through_a_link_beside_the_image(image: Path, descriptor: int, kept: str) -> None:
    bmap, victim = image.with_name("a.img.bmap"), image.with_name("victim")
    victim.write_text(MAP_AFTER)
    bmap.symlink_to(victim)
    (image.parent / FILE).write_bytes(encode(KIND, FACTS | {"beside": {bmap.name: kept}}, {}))
    with pytest.raises(AmbassadorError, match=r"a\.img\.bmap: is a symbolic link, and is not followed"):
        Undo(image).settle(descriptor)
    assert (victim.read_text(), bmap.is_symlink()) == (MAP_AFTER, True)


@pytest.mark.parametrize(
    ("now", "kept", "said"),
    [(MAP_AFTER, "attacker's text", "what it was before an edit cannot be read"), ("a file", MAP_BEFORE, "cannot be")],
)
def test_only_a_map_takes_the_place_of_a_map(image: Path, descriptor: int, now: str, kept: str, said: str) -> None:
    bmap = image.with_name("a.img.bmap")
    bmap.write_text(now)
    (image.parent / FILE).write_bytes(encode(KIND, FACTS | {"beside": {bmap.name: kept}}, {}))
    with pytest.raises(AmbassadorError, match=rf"a\.img\.bmap: {said}.*remove it, or make it anew"):
        Undo(image).settle(descriptor)
    assert bmap.read_text() == now
    bmap.unlink()
    Undo(image).settle(descriptor)
    assert names(image) == ["a.img"]


def test_a_map_that_is_a_link_stops_the_edit_before_it_begins(image: Path) -> None:
    bmap, other = image.with_name("a.img.bmap"), image.with_name("other")
    other.write_text(MAP_BEFORE)
    bmap.symlink_to(other)
    with pytest.raises(AmbassadorError, match="is a symbolic link"):
        Undo(image).keep_beside(bmap)


def test_a_map_that_is_gone_meanwhile_is_not_made_again(image: Path, descriptor: int) -> None:
    (image.parent / FILE).write_bytes(encode(KIND, FACTS | {"beside": {"a.img.bmap": "old"}}, {}))
    Undo(image).settle(descriptor)
    assert names(image) == ["a.img"]


def test_an_edit_keeps_the_map_beside_the_image(image: Path, descriptor: int) -> None:
    bmap = image.with_name("a.img.bmap")
    bmap.write_text(MAP_BEFORE)
    undo = Undo(image)
    undo.keep_beside(bmap)

    def write_map(raw: RawFile) -> None:
        bmap.write_text(MAP_AFTER)
        refuse(raw)

    with pytest.raises(AmbassadorError, match="unsound"):
        undo.apply(descriptor, CHANGES, write_map)
    assert (bmap.read_text(), image.read_bytes()) == (MAP_BEFORE, OLD)


def test_a_folder_without_room_for_the_undo_file_stops_the_edit_before_it_begins(image: Path, descriptor: int) -> None:
    image.with_name(f"{FILE}.new").mkdir()
    with pytest.raises(AmbassadorError, match=r"cannot be kept beside it: .*; nothing was changed"):
        Undo(image).apply(descriptor, CHANGES, lambda _: None)
    assert image.read_bytes() == OLD


def test_what_cannot_be_undone_now_says_that_the_next_command_does(image: Path) -> None:
    reader = os.open(image, os.O_RDWR)
    interrupted(image, reader)
    os.close(reader)
    reader = os.open(image, os.O_RDONLY)
    with pytest.raises(
        AmbassadorError, match=r"a\.img: cannot be written: Bad file descriptor; an edit of it is half done"
    ):
        Undo(image).settle(reader)
    os.close(reader)
    assert (image.parent / FILE).exists()


def test_a_file_that_cannot_be_written_is_left_alone(image: Path) -> None:
    reader = os.open(image, os.O_RDONLY)
    with pytest.raises(AmbassadorError, match=r"a\.img: cannot be written: Bad file descriptor; nothing was changed"):
        Undo(image).apply(reader, CHANGES, lambda _: None)
    os.close(reader)
    assert names(image) == ["a.img"]


def test_what_reads_back_other_is_told_with_its_place(image: Path, descriptor: int) -> None:
    write_blocks(descriptor, CHANGES, image)
    read_back(RawFile(descriptor), CHANGES, image)
    with pytest.raises(AmbassadorError, match=r"a\.img: byte 0 on reads back other than it was written"):
        read_back(RawFile(descriptor), {0: b"x"}, image)


def test_a_block_that_is_written_in_part_only_is_told(image: Path, descriptor: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, most[1]))
    try:
        with pytest.raises(AmbassadorError, match=r"a\.img: cannot be written whole; is the disk full\?"):
            write_blocks(descriptor, {4096: b"1" * 4096}, image)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)


def test_the_undo_file_holds_what_was_there_and_not_what_comes(image: Path, descriptor: int) -> None:
    file = decode(KIND, interrupted(image, descriptor), "x")
    assert file.blocks == {at: OLD[at : at + len(block)] for at, block in CHANGES.items()}
    assert "1111" not in json.dumps(file.facts["beside"])


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(list(FACTS)), st.none() | st.integers() | st.text()))
def test_whatever_is_in_an_undo_file_another_image_stays_as_it_is(data: bytes, facts: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "a.img")
        image.write_bytes(OLD)
        descriptor = os.open(image, os.O_RDWR)
        try:
            for content in (data, encode(KIND, FACTS | facts, {0: data or b"x"})):
                Path(folder, FILE).write_bytes(content)
                with suppress(AmbassadorError):
                    Undo(image).settle(descriptor)
                assert image.read_bytes() == OLD
        finally:
            os.close(descriptor)
