"""FAT12, FAT16 and FAT32 are sound after every kind of edit, and hold just what was meant by their specification."""

from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import Edit, edit_image
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY
from support.fat_reader import Fat, FatEntry, read_fat
from support.image_model import NOW, parts
from support.images import Part, make_system

_KINDS = {"fat12": (4, "12"), "fat16": (20, "16"), "fat32": (40, "32")}
_SIZES = (0, 1, 511, 512, 513, 2048, 2049, 70_000, 300_000)
_WANTED = Attributes(0o600, 0, 0, NOW - 86_400)


@pytest.fixture(params=_KINDS)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    size, bits = _KINDS[request.param]
    path = tmp_path / "boot.vfat"
    make_system(path, Part(size, "vfat", ("-F", bits), "BOOT", {"old.txt": b"old" * 9000, "EFI": None}))
    assert Fat(path.read_bytes()).bits == int(bits)
    return path


def test_is_sound_and_as_meant_after_every_edit(image: Path) -> None:
    def put(**contents: bytes) -> None:
        def change(edit: Edit) -> None:
            for path, content in contents.items():
                edit.put_file(parts(path), content, _WANTED, parents=True)

        edit_image(image, ANY, NOW, change)
        tree = read_fat(image)
        assert {path: tree[path] for path in contents} == {
            path: FatEntry(is_folder=False, mtime=_WANTED.mtime, content=content) for path, content in contents.items()
        }

    def remove(path: str) -> None:
        edit_image(image, ANY, NOW, lambda edit: edit.remove(parts(path), recursive=True))
        assert not [left for left in read_fat(image) if left.startswith(path)]

    put(**{f"sizes/file of {size} bytes": bytes([size % 251]) * size for size in _SIZES})
    for content in (b"smaller", b"larger" * 9000, b""):
        put(**{"old.txt": content})
    put(**{"one/two/three/four/five.txt": b"deep"})
    remove("one")
    remove("sizes/file of 300000 bytes")
    edit_image(image, ANY, NOW, lambda edit: edit.make_folder(("EFI", "BOOT"), _WANTED))
    assert read_fat(image)["EFI/BOOT"].is_folder


def test_a_folder_grows_with_its_entries(image: Path) -> None:
    names = [f"EFI/an entry with a longer name, number {number:03}" for number in range(40)]
    contents = {name: name.encode() * 9 for name in names}

    def put_all(edit: Edit) -> None:
        for name, content in contents.items():
            edit.put_file(parts(name), content, _WANTED)

    edit_image(image, ANY, NOW, put_all)
    assert {name: seen.content for name, seen in read_fat(image).items() if name in contents} == contents
