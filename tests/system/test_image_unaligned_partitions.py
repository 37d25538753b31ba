"""Partitions that begin within a page of the image: what is before them is neither changed nor checked."""

from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import edit_image
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import Selector
from support.image_model import NOW, Modelled, put
from support.images import Part, check_fat, make_system, run

_WANTED = Attributes(0o600, 1000, 1000, NOW)
_FIRST, _SECOND = 2048, 6148
"""Sectors; 6148 is in the middle of a page."""


def _make(image: Path, first: str, second: str) -> None:
    """Two partitions side by side; the first, if it is empty, full of something that is no file system."""
    run("truncate", "-s", "8M", image)
    cuts = ("mkpart", "primary", f"{_FIRST}s", f"{_SECOND - 1}s", "mkpart", "primary", f"{_SECOND}s", "14339s")
    run("parted", "-s", "-a", "none", image, "mklabel", "msdos", *cuts)
    for system, size, start in ((first, 2, _FIRST), (second, 4, _SECOND)):
        file = image.with_name(f"part-{start}")
        if system:
            make_system(file, Part(size, system))
        else:
            file.write_bytes(b"\xa5" * (_SECOND - _FIRST) * 512)
        run("dd", f"if={file}", f"of={image}", f"seek={start}", "conv=notrunc", "status=none")


@pytest.mark.parametrize("first", ["", "ext4", "vfat"])
def test_an_ext_behind_another_partition(first: str, tmp_path: Path) -> None:
    image = tmp_path / "image.img"
    _make(image, first, "ext4")
    before = image.read_bytes()
    modelled = Modelled(image, _SECOND * 512, Selector(2))
    for content in (b"one" * 3000, b"two"):
        modelled.edit(put("file", content, _WANTED))
    modelled.check()
    assert image.read_bytes()[: _SECOND * 512] == before[: _SECOND * 512]


def test_a_fat_behind_a_partition_without_file_system(tmp_path: Path) -> None:
    image = tmp_path / "image.img"
    _make(image, "", "vfat")
    before = image.read_bytes()
    edit = edit_image(image, Selector(2), NOW, lambda edit: edit.put_file(("file",), b"content", _WANTED))
    assert [volume.partition.number for volume in edit.changed] == [2]
    check_fat(image, _SECOND * 512, 4 << 20)
    assert image.read_bytes()[: _SECOND * 512] == before[: _SECOND * 512]
