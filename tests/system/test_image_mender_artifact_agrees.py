"""What is put into an image here `mender-artifact` reads, and the other way round, wherever a path leads."""

from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import Edit, edit_image
from mtls_ambassador.flows.read_image import image_to_read, open_file
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY, Image, Selector
from mtls_ambassador.image.tree import parse_path
from support.image_model import NOW
from support.images import BOOT, DATA, MIB, ROOTFS, check_ext, check_fat, make_disk, run

_BOOT_SIZE, _EXT_SIZE = 4, 5
_PLACES = {
    "/data/mender/mender-cert-private.pem": {4: "/mender/mender-cert-private.pem"},
    "/uboot/config.txt": {1: "/config.txt"},
    "/etc/mender/mender.conf": {2: "/etc/mender/mender.conf", 3: "/etc/mender/mender.conf"},
    "/boot/efi/EFI/entry.conf": {1: "/EFI/entry.conf"},
    "/boot/grub/grub/grub.cfg": {1: "/grub/grub.cfg"},
    "/boot/vmlinuz": {2: "/boot/vmlinuz", 3: "/boot/vmlinuz"},
}
"""The partitions each path is in, and where in them."""
_TABLES = {"msdos": list(_PLACES), "gpt": list(_PLACES)[:3]}


def _make(folder: Path, table: str) -> Path:
    image = folder / "mender.sdimg"
    others = (replace(part, size=_EXT_SIZE) for part in (ROOTFS, ROOTFS, DATA))
    make_disk(image, (replace(BOOT, size=_BOOT_SIZE), *others), table)
    return image


def _check(image: Path) -> None:
    check_fat(image, 4 * MIB, _BOOT_SIZE * MIB)
    for number in range(3):
        check_ext(image, (4 + _BOOT_SIZE + number * _EXT_SIZE) * MIB)


def _content(path: str) -> bytes:
    return f"{path}\n".encode() * 100


def _put_all(edit: Edit, paths: list[str]) -> None:
    for path in paths:
        edit.put_file(parse_path(path), _content(path), Attributes(0o640, 0, 0, NOW))


@pytest.mark.parametrize("table", _TABLES)
def test_it_reads_what_we_put(table: str, tmp_path: Path) -> None:
    image, out = _make(tmp_path, table), tmp_path / "out"
    edit_image(image, ANY, NOW, lambda edit: _put_all(edit, _TABLES[table]))
    _check(image)
    for path in _TABLES[table]:
        run("mender-artifact", "cp", f"{image}:{path}", out)
        assert out.read_bytes() == _content(path)
        assert 1 in _PLACES[path] or out.stat().st_mode & 0o7777 == 0o640
    assert run("mender-artifact", "cat", f"{image}:/etc/mender/mender.conf") == _content("/etc/mender/mender.conf")


@pytest.mark.parametrize("table", _TABLES)
def test_we_read_what_it_puts(table: str, tmp_path: Path) -> None:
    image, source = _make(tmp_path, table), tmp_path / "in"
    for path in _TABLES[table]:
        source.write_bytes(_content(path))
        run("mender-artifact", "install", "-m", "0640", source, f"{image}:{path}")
    with image_to_read(image) as opened:
        for path in _TABLES[table]:
            _check_file(opened, path, path, ANY)
            for partition, place in _PLACES[path].items():
                _check_file(opened, path, place, Selector(partition))


def _check_file(opened: Image, path: str, place: str, selector: Selector) -> None:
    file = open_file(opened, parse_path(place), selector)
    assert file.read() == _content(path)
    assert file.system.type == "vfat" or (file.entry.mode, file.entry.uid, file.entry.gid) == (0o640, 0, 0)


def test_each_replaces_and_removes_what_the_other_put(tmp_path: Path) -> None:
    image, source, path = _make(tmp_path, "msdos"), tmp_path / "in", "/data/mender/key.pem"
    source.write_bytes(b"theirs")
    edit_image(image, ANY, NOW, lambda edit: _put_all(edit, [path]))
    run("mender-artifact", "cp", source, f"{image}:{path}")
    edit_image(image, ANY, NOW, lambda edit: _put_all(edit, [path]))
    assert run("mender-artifact", "cat", f"{image}:{path}") == _content(path)
    run("mender-artifact", "rm", f"{image}:{path}")
    run("mender-artifact", "cp", source, f"{image}:{path}")
    edit_image(image, ANY, NOW, lambda edit: edit.remove(parse_path(path), recursive=False))
    _check(image)
    with image_to_read(image) as opened:
        assert not opened.system(opened.volumes[3]).entries(("mender",))
