"""What the checkers say of a file system as it would be: of a file, and of changes that are not in it yet."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.image.check import faults_of
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.layout import Volume
from mtls_ambassador.image.overlay import Overlay, RawFile
from mtls_ambassador.image.superblock import OtherSystem
from mtls_ambassador.model.errors import AmbassadorError
from support.image_cli import SMALL, copy, debugfs, make_small
from support.images import MIB

ROOT, DATA = 5 * MIB, 9 * MIB


@pytest.fixture
def card(tmp_path: Path) -> Path:
    make_small(tmp_path / "card.img")
    return tmp_path / "card.img"


@contextmanager
def opened(path: Path) -> Iterator[tuple[RawFile, tuple[Volume, ...]]]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        raw = RawFile(descriptor)
        with Image(raw, "card.img", 0) as image:
            yield raw, image.volumes
    finally:
        os.close(descriptor)


def changed(path: Path, command: str, offset: int) -> dict[int, bytes]:
    """The pages that a command of debugfs changes."""
    other = copy(path, path.with_name("other.img"))
    debugfs(other, command, offset)
    before, after = path.read_bytes(), other.read_bytes()
    other.unlink()
    return {
        at: after[at : at + 4096]
        for at in range(0, len(before), 4096)
        if before[at : at + 4096] != after[at : at + 4096]
    }


def laid_over(raw: RawFile, blocks: dict[int, bytes]) -> Overlay:
    seen = Overlay(raw)
    for offset, block in blocks.items():
        seen.write(offset, block)
    return seen


def test_sound_ones(card: Path) -> None:
    with opened(card) as (raw, volumes):
        assert [faults_of(raw, volume) for volume in volumes] == [[]] * 4
        assert [faults_of(Overlay(raw), volume) for volume in volumes] == [[]] * 4


@pytest.mark.parametrize(
    ("command", "offset", "said"),
    [
        ("sif /mender links_count 9", DATA, "ref count is 9, should be 2."),
        ("ssv free_blocks_count 7", DATA, "Free blocks count wrong (7"),
        ("sif /etc/mender links_count 9", ROOT, "ref count is 9, should be 2."),
    ],
)
def test_damage_that_is_only_in_memory_is_found(card: Path, command: str, offset: int, said: str) -> None:
    blocks = changed(card, command, offset)
    with opened(card) as (raw, volumes):
        number = 3 if offset == DATA else 1
        found = faults_of(laid_over(raw, blocks), volumes[number])
        assert said in found[0]
        assert faults_of(raw, volumes[number]) == []


def test_damage_in_the_file_that_is_repaired_in_memory_is_none(card: Path) -> None:
    whole = copy(card, card.with_name("whole.img"))
    debugfs(card, "clri /mender", DATA)
    blocks = {at: whole.read_bytes()[at : at + 4096] for at in changed(whole, "clri /mender", DATA)}
    with opened(card) as (raw, volumes):
        assert faults_of(raw, volumes[3])
        assert faults_of(laid_over(raw, blocks), volumes[3]) == []


def test_what_cannot_be_checked_is_an_error(card: Path) -> None:
    with opened(card) as (raw, volumes):
        seen = laid_over(raw, {DATA: bytes(4096)})
        with pytest.raises(
            AmbassadorError, match=r'partition 4 \(ext4 "data"\) cannot be checked: e2fsck ended with 8'
        ):
            faults_of(seen, volumes[3])
        elsewhere = replace(volumes[1], partition=replace(volumes[1].partition, start=ROOT + 512))
        for image in (raw, seen):
            with pytest.raises(AmbassadorError, match=r"partition 2 \(ext4\) cannot be checked: e2fsck ended with 8"):
                faults_of(image, elsewhere)


def test_what_has_no_checker_is_an_error(card: Path) -> None:
    with opened(card) as (raw, volumes):
        for volume in (replace(volumes[0], system=None), replace(volumes[1], system=OtherSystem("squashfs"))):
            with pytest.raises(
                AmbassadorError, match="cannot be checked: only ext2, ext3, ext4 and FAT have a checker"
            ):
                faults_of(raw, volume)


def test_a_fat_in_memory(card: Path) -> None:
    boot = SMALL[0].size * MIB
    with opened(card) as (raw, volumes):
        start = volumes[0].partition.start
        page = bytearray(raw.read(start, 4096))
        page[int.from_bytes(page[14:16], "little") * 512 + 8] ^= 0xFF
        found = faults_of(laid_over(raw, {start: bytes(page)}), volumes[0])
        assert any("FAT" in line for line in found)
        assert start + boot == ROOT


@pytest.mark.parametrize("number", [0, 3])
def test_a_folder_for_temporary_files_that_cannot_be_used_is_named(
    card: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(card.parent / "none"))
    with opened(card) as (raw, volumes):
        said = r"cannot be checked: a copy of it in the folder for temporary files \(TMPDIR\): No such file"
        with pytest.raises(AmbassadorError, match=said):
            faults_of(Overlay(raw), volumes[number])
