"""`mtls-ambassador image overlay`: all files of a folder, in one edit, or none."""

import json
import os
from pathlib import Path

import pytest

from support.image_cli import image, make_small, refused


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    make_small(tmp_path / "disk" / "card.img")
    return tmp_path / "disk" / "card.img"


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """Files for three partitions, one of them through a link in the image."""
    folder = tmp_path / "overlay"
    for path, mode, content in (
        ("data/mender/mender-cert-private.pem", 0o600, "key\n"),
        ("etc/mender/mender.conf", 0o644, '{"ServerURL": "https://x.example"}\n'),
        ("var/lib/mender/mender-cert.pem", 0o4751, "certificate\n"),
        ("uboot/grub/grub.cfg", 0o644, "set default=0\n"),
        ("opt/app/bin/run", 0o755, "#!/bin/sh\n"),
    ):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(mode)
    (folder / "opt" / "app").chmod(0o750)
    (folder / "etc" / "mender").chmod(0o700)
    (folder / "opt" / "empty").mkdir()
    return folder


def entry(path: str, *words: str) -> dict[str, object]:
    above, _, name = path.rpartition("/")
    listed = json.loads(image("ls", "--json", *words, above).out)
    return next(item for item in listed if item["name"] == name)


def test_each_file_is_where_its_path_says_with_its_permissions(card: Path, overlay: Path) -> None:
    image("overlay", "-o", "0", "-g", "20", overlay, card)
    assert image("cat", f"{card}:/data/mender/mender-cert.pem").out == b"certificate\n"
    assert image("cat", f"{card}:/uboot/grub/grub.cfg").out == b"set default=0\n"
    found = entry(f"{card}:/data/mender/mender-cert.pem")
    assert (found["mode"], found["uid"], found["gid"]) == ("4751", 0, 20)
    assert entry(f"{card}:/data/mender/mender-cert-private.pem")["mode"] == "0600"
    for partition in ("2", "3"):  # root file systems A and B
        assert b"x.example" in image("cat", "--partition", partition, f"{card}:/etc/mender/mender.conf").out
        assert entry(f"{card}:/opt/app", "--partition", partition)["mode"] == "0750"
        assert entry(f"{card}:/opt/empty", "--partition", partition)["type"] == "folder"
        assert entry(f"{card}:/opt/app/bin/run", "--partition", partition)["mode"] == "0755"


def test_a_folder_that_is_there_stays_as_it_is(card: Path, overlay: Path) -> None:
    before = entry(f"{card}:/etc/mender", "--partition", "2")
    image("overlay", overlay, card)
    after = entry(f"{card}:/etc/mender", "--partition", "2")
    assert (before["mode"], before["uid"]) == (after["mode"], after["uid"])


def test_below_a_path_or_in_one_partition(card: Path, overlay: Path) -> None:
    image("overlay", overlay / "opt", f"{card}:/data/opt")
    assert image("cat", f"{card}:/data/opt/app/bin/run").out == b"#!/bin/sh\n"
    image("overlay", "--partition", "2", overlay / "etc", f"{card}:/etc")
    assert b"x.example" in image("cat", "--partition", "2", f"{card}:/etc/mender/mender.conf").out
    assert image("cat", "--partition", "3", f"{card}:/etc/mender/mender.conf").out == b"{}\n"


def test_all_or_none(card: Path, overlay: Path) -> None:
    """The last file has no room: those before it are not there either."""
    (overlay / "zz").write_bytes(os.urandom(4 << 20))
    assert "room" in refused(card, "overlay", overlay, card)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_refused(card: Path, overlay: Path, kind: str) -> None:
    odd = overlay / "etc" / "odd"
    odd.symlink_to("/etc/passwd") if kind == "link" else os.mkfifo(odd)
    said = refused(card, "overlay", overlay, card)
    assert f"{odd}: is {'a symbolic link' if kind == 'link' else 'no file'}; only files and folders" in said


def test_a_file_where_the_image_has_a_folder_and_the_other_way_round(card: Path, tmp_path: Path) -> None:
    for path, what in (("a/etc", "/etc"), ("b/etc/mender/mender.conf/x", "is no folder")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("x")
        assert what in refused(card, "overlay", tmp_path / path[0], card)


def test_wrong_usage_says_what_is_meant(card: Path, overlay: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is empty" in refused(card, "overlay", tmp_path / "empty", card, code=2)
    assert "does not exist" in refused(card, "overlay", tmp_path / "nosuch", card, code=2)
    assert "No such file" in image("overlay", overlay, tmp_path / "nosuch.img", code=1).err
    assert "exclude each other" in refused(card, "overlay", "--partition", "1", "--label", "x", overlay, card, code=2)
