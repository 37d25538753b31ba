"""Partitions that begin behind 4 GiB and behind 2 TiB are changed just there."""

from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import edit_image
from mtls_ambassador.flows.read_image import image_to_read, open_file
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import Selector
from support.fat_reader import fat_tree
from support.image_model import NOW, Modelled, put
from support.images import MIB, Part, check_fat, make_system, run

_GIB = 1024
_WANTED = Attributes(0o600, 1000, 1000, NOW)


def _make(image: Path, *starts: int, table: str) -> None:
    """A disk with an ext4 and a FAT behind it at each of these MiB."""
    run("truncate", "-s", f"{starts[-1] + 20}M", image)
    cuts: list[str] = []
    for start in starts:
        cuts += ["mkpart", "primary", f"{start}MiB", f"{start + 8}MiB"]
        cuts += ["mkpart", "primary", f"{start + 8}MiB", f"{start + 16}MiB"]
    run("parted", "-s", image, "mklabel", table, *cuts)
    for number, start in enumerate(starts):
        for part, at in ((Part(8, label=f"ext{number}"), start), (Part(8, "vfat", label=f"FAT{number}"), start + 8)):
            file = image.with_name("part")
            make_system(file, part)
            run("dd", f"if={file}", f"of={image}", "bs=1M", f"seek={at}", "conv=notrunc,sparse", "status=none")
            file.unlink()


@pytest.mark.parametrize(
    ("table", "starts"),
    [("msdos", (1, 5 * _GIB)), ("gpt", (4 * _GIB - 4, 2 * _GIB * _GIB + 1)), ("gpt", (2 * _GIB * _GIB - 4,))],
)
def test_is_changed_just_there(table: str, starts: tuple[int, ...], tmp_path: Path) -> None:
    image = tmp_path / "image.img"
    _make(image, *starts, table=table)
    for number, start in enumerate(starts):
        modelled = Modelled(image, start * MIB, Selector(label=f"ext{number}"))
        modelled.edit(put("file", b"behind" * 5000, _WANTED))
        modelled.check()
        fat = Selector(label=f"FAT{number}")
        edit_image(image, fat, NOW, lambda edit: edit.put_file(("file",), b"FAT" * 5000, _WANTED))
        check_fat(image, (start + 8) * MIB, 8 * MIB)
        assert fat_tree(image, (start + 8) * MIB, 8 * MIB)["file"].content == b"FAT" * 5000
        with image_to_read(image) as opened:
            assert open_file(opened, ("file",), fat).read() == b"FAT" * 5000
    assert image.stat().st_blocks * 512 < 20 * MIB
