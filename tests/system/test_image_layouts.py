"""A path goes to the partition that plays its part, in every layout; where that is not certain, nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import edit_image
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY, Selector
from mtls_ambassador.image.tree import parse_path
from mtls_ambassador.model.errors import AmbassadorError
from support.fat_reader import fat_tree
from support.image_model import NOW, digest
from support.image_readers import by_us
from support.images import MIB, Part, check_ext, make_disk, make_system, run

_WANTED = Attributes(0o600, 0, 0, NOW)
_NEW = b"put here"
_BOOT = Part(4, "vfat", label="BOOT", files={"EFI": None})
_EXT = Part(4, files={"etc": None, "mender": None})
_EMPTY = Part(1, "")


@dataclass(frozen=True, slots=True)
class _Layout:
    parts: Sequence[Part]
    table: str
    lands: dict[str, set[int]]
    """For a path, the numbers of the partitions."""
    names: Sequence[str] = ()
    flags: Sequence[str] = ()
    """Words of parted."""


def _ext(label: str) -> Part:
    return replace(_EXT, label=label)


_BY_ORDER = {"/uboot/EFI/x": {1}, "/boot/efi/EFI/x": {1}, "/etc/x": {2, 3}, "/data/mender/x": {4}}
_LAYOUTS = {
    "four, MBR": _Layout((_BOOT, _EXT, _EXT, _EXT), "msdos", _BY_ORDER),
    "four, GPT": _Layout((_BOOT, _EXT, _EXT, _EXT), "gpt", _BY_ORDER),
    "four, the last logical": _Layout(
        (_BOOT, _EXT, _EXT, _EXT), "logical", {"/uboot/EFI/x": {1}, "/etc/x": {2, 3}, "/data/mender/x": {5}}
    ),
    "four, B empty": _Layout((_BOOT, _EXT, Part(4, ""), _EXT), "gpt", {"/etc/x": {2}, "/data/mender/x": {4}}),
    "three by labels": _Layout(
        (_BOOT, _ext("primary"), _ext("DATA")), "msdos", {"/uboot/EFI/x": {1}, "/etc/x": {2}, "/data/mender/x": {3}}
    ),
    "five by names": _Layout(
        (_EMPTY, _BOOT, _EXT, _EXT, _EXT),
        "gpt",
        {"/boot/grub/EFI/x": {2}, "/etc/x": {3, 4}, "/data/mender/x": {5}},
        names=("bios", "esp", "rootfsA", "rootfsB", "data"),
    ),
    "six by labels, some logical": _Layout(
        (_BOOT, _ext("data"), _EMPTY, _ext("secondary"), _ext("primary"), _ext("swap")),
        "logical",
        {"/uboot/EFI/x": {1}, "/etc/x": {5, 6}, "/data/mender/x": {2}},
    ),
    "EFI system partition": _Layout(
        (_EXT, replace(_BOOT, label="SYSTEM"), _ext("data")),
        "gpt",
        {"/boot/efi/EFI/x": {2}, "/data/mender/x": {3}},
        names=("one", "two", "three"),
        flags=("set", "2", "esp", "on"),
    ),
}


def _make(folder: Path, layout: _Layout) -> tuple[Path, dict[int, int]]:
    """An image, and where its partitions begin, by number."""
    image = folder / "image.img"
    starts = make_disk(image, layout.parts, layout.table, layout.names)
    if layout.flags:
        run("parted", "-s", image, *layout.flags)
    numbers = [n if n < 4 or layout.table != "logical" else n + 1 for n in range(1, len(starts) + 1)]
    return image, dict(zip(numbers, starts, strict=True))


def _holders(image: Path, layout: _Layout, starts: dict[int, int]) -> set[int]:
    """Numbers of the partitions with what was put; all are sound."""
    found = set()
    for (number, start), part in zip(starts.items(), layout.parts, strict=True):
        if part.system == "vfat":
            contents = {seen.content for seen in fat_tree(image, start, part.size * MIB).values()}
        elif part.system:
            check_ext(image, start)
            contents = {seen.content for seen in by_us(image, Selector(number)).values()}
        else:
            contents = set()
        found |= {number} if _NEW in contents else set()
    return found


def _put(image: Path, path: str, selector: Selector = ANY) -> None:
    edit_image(image, selector, NOW, lambda edit: edit.put_file(parse_path(path), _NEW, _WANTED))


def _remove(image: Path, path: str) -> None:
    edit_image(image, ANY, NOW, lambda edit: edit.remove(parse_path(path), recursive=False))


@pytest.mark.parametrize("name", _LAYOUTS)
def test_a_path_goes_to_the_partition_of_its_part(name: str, tmp_path: Path) -> None:
    layout = _LAYOUTS[name]
    image, starts = _make(tmp_path, layout)
    for path, numbers in layout.lands.items():
        _put(image, path)
        assert _holders(image, layout, starts) == numbers
        _remove(image, path)
        assert not _holders(image, layout, starts)


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ((_BOOT, _EXT, _EXT), "/data/mender/x"),
        ((_BOOT, _ext("data"), _ext("data")), "/data/mender/x"),
        ((_BOOT, _EXT, _ext("data")), "/etc/x"),
        ((_ext("primary"), _ext("secondary"), _ext("secondary")), "/etc/x"),
        ((_BOOT, _BOOT, _ext("data")), "/uboot/EFI/x"),
        ((_EXT, _EXT), "/etc/x"),
    ],
)
def test_what_is_not_certain_is_refused(parts: tuple[Part, ...], path: str, tmp_path: Path) -> None:
    image, _ = _make(tmp_path, _Layout(parts, "msdos", {}))
    before = digest(image)
    with pytest.raises(
        AmbassadorError, match=r"which partition is the (data|root|boot) one\? .* --partition N or --label"
    ):
        _put(image, path)
    assert digest(image) == before


def test_a_person_names_the_partition(tmp_path: Path) -> None:
    layout = _Layout((_BOOT, _EXT, _ext("config"), _EXT, _EXT), "gpt", {}, names=("a", "b", "c", "d", "spare"))
    image, starts = _make(tmp_path, layout)
    _put(image, "/etc/x", Selector(2))
    _put(image, "/data", Selector(label="CONFIG"))
    _put(image, "/mender/x", Selector(label="spare"))
    _put(image, "/uboot", Selector(label="boot"))
    assert _holders(image, layout, starts) == {1, 2, 3, 5}
    assert by_us(image, Selector(3))[b"data"].content == _NEW


@pytest.mark.parametrize("system", ["ext4", "vfat"])
def test_a_file_system_without_a_table_has_paths_of_its_own(system: str, tmp_path: Path) -> None:
    image = tmp_path / "image.img"
    make_system(image, Part(4, system, files={"data": None, "uboot": None}))
    for path in ("/data/x", "/uboot/x"):
        _put(image, path)
    seen = {path.decode() for path, entry in by_us(image).items() if entry.content == _NEW}
    assert seen == {"data/x", "uboot/x"}
