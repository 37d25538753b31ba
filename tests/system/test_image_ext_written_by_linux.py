"""What Linux left in a file system, an edit replaces and removes; where it may not mount, what mke2fs left."""

import os
import socket
import stat
from pathlib import Path

import pytest

from mtls_ambassador.image.entry import Attributes
from support.ext_features import FEATURES
from support.image_model import NOW, Modelled, make_folder, put, remove
from support.image_readers import mounted
from support.images import Part, Tree, make_system

_WANTED = Attributes(0o640, 7, 70_000, NOW)
_TREE: Tree = {
    "folder/plain": b"plain",
    "folder/with-attributes": b"a",
    "folder/twin": b"b",
    "folder/second-name": b"plain",
    "folder/unwritten": b"begin" + bytes(90_000),
    "folder/holes": bytes(50_000) + b"end",
    "folder/link": "plain",
    "folder/long-link": "x/" * 90,
    "folder/pipe": b"",
    "folder/device": b"",
    "many/0": b"0",
}


def _fill_by_linux(mount: Path, large: int) -> None:
    """The same, but as only a mounted kernel makes it."""
    folder, attributes = mount / "folder", {"user.large": b"v" * large, "user.small": b"v"}
    for name in ("with-attributes", "twin"):  # which share the block of them
        for attribute, value in attributes.items():
            os.setxattr(folder / name, attribute, value)
    (folder / "second-name").unlink()
    (folder / "second-name").hardlink_to(folder / "plain")
    with (folder / "unwritten").open("r+b") as file:
        file.truncate(5)
        os.posix_fallocate(file.fileno(), 0, 90_005)
    with (folder / "holes").open("wb") as file:
        file.seek(50_000)
        file.write(b"end")
    for name in ("pipe", "device"):
        (folder / name).unlink()
    os.mkfifo(folder / "pipe")
    os.mknod(folder / "device", stat.S_IFBLK | 0o660, os.makedev(8, 1))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    for number in range(300):  # whose folder gets an index
        (mount / "many" / f"{number:0100}").write_bytes(b"x" * (number % 70))
    for number in range(0, 300, 3):
        (mount / "many" / f"{number:0100}").unlink()


@pytest.fixture(params=["default", "orphan-file", "inline-data", "ext3", "inode-attributes"])
def modelled(request: pytest.FixtureRequest, tmp_path: Path) -> Modelled:
    image = tmp_path / "image.ext4"
    system, options = FEATURES[request.param]
    make_system(image, Part(24, system, options, files=_TREE))
    with mounted(image) as mount:
        if mount is not None:
            _fill_by_linux(mount, large=2000 if request.param == "inode-attributes" else 700)
    return Modelled(image)


def test_an_edit_goes_on_from_there(modelled: Modelled) -> None:
    paths = sorted(path.decode() for path in modelled.model.tree if path.startswith(b"folder/"))
    modelled.edit(*(put(path, path.encode() * 50, _WANTED) for path in paths))
    modelled.edit(*(put(f"many/{number:0100}", b"again", _WANTED) for number in range(0, 300, 2)))
    modelled.edit(make_folder("many/folder", _WANTED))
    modelled.check()


def test_what_linux_made_is_removed_with_its_folder(modelled: Modelled) -> None:
    modelled.edit(remove("folder/twin"))
    modelled.edit(remove("folder", recursive=True), remove("many", recursive=True))
    modelled.check()
