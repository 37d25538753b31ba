"""`mtls-ambassador image install -d` on a folder that is there: it gets what is said, and keeps what is not."""

from pathlib import Path

import pytest

from mtls_ambassador.image.image import Selector
from support.image_cli import debugfs, image, key, make_small, sha256
from support.image_model import NOW
from support.image_readers import Seen, assert_agreed
from support.images import MIB, check_ext

ROOTS, DATA = (5 * MIB, 7 * MIB), 9 * MIB


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(NOW))
    make_small(tmp_path / "card.img")
    return tmp_path / "card.img"


def folder(card: Path, name: bytes = b"mender") -> Seen:
    return assert_agreed(card, DATA, Selector(4))[name]


def test_it_gets_the_mode_and_owner_that_are_said(tmp_path: Path, card: Path) -> None:
    was = folder(card)
    for words, wanted in (
        (("-m", "700", "-o", "5"), (0o700, 5, was.gid)),
        (("-g", "70000"), (0o700, 5, 70_000)),
        (("-o", "0", "-g", "0"), (0o700, 0, 0)),
        (("-m", "2755"), (0o2755, 0, 0)),
    ):
        assert image("install", "-d", *words, f"{card}:/data/mender").err == ""
        found = folder(card)
        assert (found.mode, found.uid, found.gid, found.mtime) == (*wanted, was.mtime)
    assert f"ctime: 0x{NOW:x}:" in debugfs(card, "stat /mender", DATA)
    assert image("cat", f"{card}:/data/mender/device_type").out == b"device_type=qemu\n"
    image("install", "-m", "600", key(tmp_path), f"{card}:/data/mender/key.pem")


def test_it_gets_them_in_both_root_file_systems_and_where_a_link_leads(card: Path) -> None:
    image("install", "-d", "-m", "711", f"{card}:/etc/mender")
    assert ["Mode:  0711 " in debugfs(card, "stat /etc/mender", start) for start in ROOTS] == [True, True]
    image("install", "-d", "-m", "711", f"{card}:/var/lib/mender")
    assert folder(card).mode == 0o711
    image("install", "-d", "-m", "711", f"{card}:/data")
    assert "Mode:  0711 " in debugfs(card, "stat /", DATA)
    for start in (*ROOTS, DATA):
        check_ext(card, start)


def test_it_stays_as_it_is_when_nothing_is_said_and_that_is_told(card: Path) -> None:
    before = sha256(card)
    said = image("install", "-d", f"{card}:/data/mender").err
    assert (
        said == f'{card}: partition 4 (ext4 "data"): /mender was there and stays as it is; -m, -o and -g change that\n'
    )
    assert image("install", "-d", f"{card}:/etc/mender").err.count("was there and stays as it is") == 2
    assert sha256(card) == before
    image("install", "-d", "-o", "7", f"{card}:/data/new")
    assert (folder(card, b"new").mode, folder(card, b"new").uid) == (0o755, 7)


def test_on_fat_there_is_nothing_to_set(card: Path) -> None:
    before = sha256(card)
    said = image("install", "-d", "-m", "700", f"{card}:/uboot/grub").err
    assert said == f'{card}: partition 1 (vfat "BOOT"): /grub: FAT keeps no mode and no owner\n'
    assert sha256(card) == before
