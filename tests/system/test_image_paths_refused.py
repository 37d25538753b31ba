"""Paths that lead nowhere, out of the image, or to what is no name there, are refused; the image is as it was."""

from pathlib import Path

import pytest

from support.image_cli import debugfs, image, key, make_small, names, refused
from support.images import Part, make_system

LONG = "n" * 255


@pytest.fixture
def card(tmp_path: Path) -> Path:
    make_small(tmp_path / "card.img")
    return tmp_path / "card.img"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/data/none/key.pem", 'card.img: partition 4 (ext4 "data"): /none is not there; -p (--parents) makes it'),
        ("/data/mender/device_type/key.pem", 'partition 4 (ext4 "data"): /mender/device_type is no folder'),
        ("/etc/none/key.pem", "card.img: partition 2 (ext4): /etc/none is not there"),
        ("/uboot/none/key.pem", 'card.img: partition 1 (vfat "BOOT"): /none is not there'),
        ("/uboot/config.txt/key.pem", 'partition 1 (vfat "BOOT"): /config.txt is no folder'),
    ],
)
def test_the_folder_must_be_there(tmp_path: Path, card: Path, path: str, said: str) -> None:
    assert said in refused(card, "install", "-m", "600", key(tmp_path), f"{card}:{path}")


def test_a_folder_is_not_replaced_by_a_file_nor_a_file_by_a_folder(tmp_path: Path, card: Path) -> None:
    (tmp_path / "mender").write_text("a file")
    said = refused(card, "cp", tmp_path / "mender", f"{card}:/data/")
    assert 'card.img: partition 4 (ext4 "data"): /mender is a folder, and is not replaced by a file' in said
    (tmp_path / "grub").write_text("a file")
    assert "/grub is a folder, and is not replaced by a file" in refused(
        card, "cp", tmp_path / "grub", f"{card}:/uboot"
    )
    said = refused(card, "install", "-d", f"{card}:/etc/mender/mender.conf")
    assert f"{card}: partition 2 (ext4): /etc/mender/mender.conf is no folder" in said
    assert "is no folder" in refused(card, "install", "-d", f"{card}:/etc/mender/mender.conf/new")
    image("install", "-d", f"{card}:/etc/mender")


@pytest.mark.parametrize("path", ["/data/../etc/x", "..", "/etc/..", "/data/mender/../../../x"])
def test_dots_that_lead_out_are_no_path(tmp_path: Path, card: Path, path: str) -> None:
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:{path}", code=2)
    assert "`..` is not allowed in a path in an image; write the path it leads to" in said
    assert "`..` is not allowed" in image("cat", f"{card}:{path}", code=2).err


def test_names_have_255_bytes_at_most(tmp_path: Path, card: Path) -> None:
    install = ("install", "-m", "600", key(tmp_path))
    assert "a name has at most 255 bytes" in refused(card, *install, f"{card}:/data/{LONG}n", code=2)
    assert "a name has at most 255 bytes" in refused(card, *install, f"{card}:/data/{'ä' * 128}", code=2)
    image(*install, f"{card}:/data/{LONG}")
    image(*install, f"{card}:/data/{'ä' * 127}")
    assert LONG in image("ls", f"{card}:/data").text
    # A name of this machine that is as long as a name may be.
    host = tmp_path / LONG
    host.write_text("long")
    image("cp", host, f"{card}:/etc/")
    assert image("cat", f"{card}:/etc/{LONG}").out == b"long"


@pytest.mark.parametrize("name", ['a"', "a*", "a:b", "<", ">", "a?", "a\\b", "|", "a.", "a ", "a\tb", "a\x7f", "..."])
def test_names_that_fat_cannot_hold(tmp_path: Path, card: Path, name: str) -> None:
    for words in (("install", "-m", "600", key(tmp_path)), ("install", "-d")):
        said = refused(card, *words, f"{card}:/uboot/{name}")
        assert 'card.img: partition 1 (vfat "BOOT"): /' in said
        assert "no name for FAT" in said
    image("install", "-m", "600", key(tmp_path), f"{card}:/data/{name}")
    assert image("cat", f"{card}:/data/{name}").out == key(tmp_path).read_bytes()


def test_an_encrypted_folder(tmp_path: Path) -> None:
    system = tmp_path / "data.ext4"
    make_system(system, Part(8, "ext4", ("-O", "encrypt"), files={"safe/old": b"x"}))
    debugfs(system, "sif /safe flags 0x80800")
    for words in (("install", "-m", "600", key(tmp_path)), ("install", "-d")):
        said = refused(system, *words, f"{system}:/safe/new")
        assert f"{system}: /safe is encrypted (fscrypt)" in said


@pytest.mark.parametrize("word", ["--partition=9", "--label=nope"])
def test_partitions_that_are_not_there(tmp_path: Path, card: Path, word: str) -> None:
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/x", word)
    assert f"{card}: {word.replace('=', ' ')} names none of the image's partitions: partition 1 (vfat" in said


def test_what_is_to_be_removed_must_be_there(card: Path) -> None:
    assert f"{card}:/data/none is not there" in refused(card, "rm", f"{card}:/data/none")
    assert "is a folder with files in it; say -r" in refused(card, "rm", f"{card}:/data/mender")
    assert "the root folder is not removed" in refused(card, "rm", "-r", f"{card}:/", code=2)
    assert "is not removed" in refused(card, "rm", "-r", f"{card}:/data")
    assert names(card.parent) == ["card.img"]


def test_paths_are_as_deep_as_the_file_system_allows(tmp_path: Path, card: Path) -> None:
    deep = "/a" * 1200
    assert f"{deep}/x is not there" in image("cat", f"{card}:/data{deep}/x", code=1).err
    image("install", "-m", "600", "-p", key(tmp_path), f"{card}:/data{'/a' * 200}/x")
    image("install", "-m", "600", "-p", key(tmp_path), f"{card}:/uboot{'/a' * 30}/x")
    assert image("cat", f"{card}:/uboot{'/A' * 30}/X").out == key(tmp_path).read_bytes()
    assert f"{deep}/x is not there" in image("cat", f"{card}:/uboot{deep}/x", code=1).err
    assert "in FAT at most 128 names make a path" in refused(card, "install", "-d", f"{card}:/uboot{'/a' * 129}")
