"""Every kind of ext2, ext3 and ext4 is sound after every edit, and debugfs and Linux find in it just what was meant."""

from pathlib import Path

import pytest

from mtls_ambassador.image.entry import Attributes
from support.ext_features import FEATURES
from support.image_model import NOW, Change, Modelled, make_folder, put, remove
from support.images import Part, make_system, run

_SIZES = (0, 1, 59, 60, 61, 100, 150, 157, 160, 200, 413, 512, 1023, 1025, 2048, 4095, 4096, 4097, 13_000, 300_000)
"""Around what fits an inode, of 256 bytes and more, and a block."""
_TREE = {
    "etc/old.conf": b"old" * 1000,
    "etc/linked": b"kept",
    "etc/short-link": "old.conf",
    "etc/inline-link": "x" * 70,
    "etc/block-link": "a/" * 80 + "x",
    "deep/a/b/c/file": b"y" * 9000,
    "deep/empty": None,
}


def _attributes(number: int) -> Attributes:
    return Attributes(0o600 + number % 64, number * 1000, 2**32 - 2 - number, NOW - number * 86_400)


def _files(length: int) -> list[Change]:
    return [put(f"d/f{size}", bytes([size % 251]) * (size + length), _attributes(size % 97)) for size in _SIZES]


def _entries(names: range) -> list[str]:
    return [f"many/{'n' * 90}{number}" for number in names]


@pytest.mark.parametrize("name", FEATURES)
def test_is_sound_and_as_meant_after_every_edit(name: str, tmp_path: Path) -> None:
    system, options = FEATURES[name]
    image = tmp_path / "image.ext4"
    make_system(image, Part(16, system, options, files=_TREE))
    for link in ("one", "two"):
        run("debugfs", "-w", "-R", f"ln /etc/linked /etc/{link}", image)
    run("debugfs", "-w", "-R", "sif /etc/linked links_count 3", image)

    modelled = Modelled(image)
    attributes = Attributes(0o4755, 70_000, 2**32 - 2, NOW)
    modelled.edit(make_folder("d", attributes), *_files(0))
    modelled.edit(*_files(1))
    modelled.edit(*_files(-1)[1:], put("d/f0", b"", attributes))
    modelled.edit(*(put(f"etc/{link}-link", b"a file now", attributes) for link in ("short", "inline", "block")))
    modelled.edit(put("etc/one", b"another", attributes))
    modelled.edit(remove("etc/two"))
    modelled.check()

    modelled.edit(*(make_folder(f"x/y/z{n}", Attributes(0o2750, 5, 70_000, NOW)) for n in range(3)))
    modelled.edit(*(put(entry, entry.encode(), attributes, parents=True) for entry in _entries(range(60))))
    modelled.edit(*(remove(entry) for entry in _entries(range(0, 60, 2))))
    modelled.edit(remove("deep", recursive=True), remove("x/y", recursive=True), remove("x"))
    modelled.edit(remove("etc/linked"))
    modelled.check()
