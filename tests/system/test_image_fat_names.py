"""Names on FAT are kept as they were given, or refused; one in other letters, or short, is the same file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import Edit, edit_image
from mtls_ambassador.flows.read_image import image_to_read, open_file
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY
from mtls_ambassador.model.errors import AmbassadorError
from support.fat_reader import fat_tree, read_fat
from support.image_model import NOW, digest, parts
from support.images import Part, make_system, run

_WANTED = Attributes(0o600, 0, 0, NOW - 86_400)
_KEPT = ("a b.txt", "UPPER.TXT", "lower.txt", "Mixed.Txt", ".hidden", "two.dots.txt", "[x] a[1]", "-r", "@@1", "it's",
    "a+b,c;d=[e].txt", "x" * 200, "résumé.txt", "日本語.txt", "$%'-_@~`!(){}^#&")  # fmt: skip
_LOST = ("a*", "a?", 'a"', "a<b", "a>b", "a|b", "a:b", "a\\b", "a.", "a ", "..a. ", "tab\t", "con", "NUL", "lpt1",
    "x" * 256, "a\udcff", "😀", "ǆ", "ﬀ", "cafe\u0301", "\u212a")  # fmt: skip


def test_names_are_kept(tmp_path: Path) -> None:
    image = tmp_path / "boot.vfat"
    make_system(image, Part(4, "vfat", files={"[a-z]": None}))
    paths = [f"{folder}{name}" for name in _KEPT for folder in ("[a-z]/", f"[a-z]/folder {name}/")]

    def put_all(edit: Edit, content: str) -> None:
        for path in paths:
            edit.put_file(parts(path), f"{content} {path}".encode(), _WANTED, parents=True)

    def remove_all(edit: Edit) -> None:
        for name in _KEPT:
            edit.remove(("[a-z]", name), recursive=False)
            edit.remove(("[a-z]", f"folder {name}"), recursive=True)

    for content in ("first", "second"):
        edit_image(image, ANY, NOW, partial(put_all, content=content))
    files = {path: seen.content for path, seen in read_fat(image).items() if not seen.is_folder}
    assert files == {path: f"second {path}".encode() for path in paths}
    edit_image(image, ANY, NOW, remove_all)
    assert list(read_fat(image)) == ["[a-z]"]


def test_names_that_would_not_be_kept_are_refused(tmp_path: Path) -> None:
    image = tmp_path / "boot.vfat"
    make_system(image, Part(4, "vfat", files={"k": b"not this one"}))
    before = digest(image)
    for name in _LOST:
        for change in (_putting(name), _putting(f"{name}/x"), _making(name)):
            with pytest.raises(AmbassadorError, match=r"no name for FAT|cannot keep this name|mtools failed"):
                edit_image(image, ANY, NOW, change)
    assert digest(image) == before


def _putting(path: str, content: bytes = b"") -> Callable[[Edit], None]:
    return lambda edit: edit.put_file(parts(path), content, _WANTED, parents=True)


def _making(path: str) -> Callable[[Edit], None]:
    return lambda edit: edit.make_folder(parts(path), _WANTED)


def test_upper_and_lower_case_and_the_short_name_are_the_same_file(tmp_path: Path) -> None:
    image = tmp_path / "boot.vfat"
    make_system(image, Part(4, "vfat", files={"Long Filename 1.txt": b"1", "Long Filename 2.txt": b"2"}))
    for path, content in (("LONG FILENAME 1.TXT", b"3"), ("LONGFI~2.TXT", b"4")):
        edit_image(image, ANY, NOW, _putting(path, content))
    assert {name: seen.content for name, seen in read_fat(image).items()} == {
        "Long Filename 1.txt": b"3",
        "Long Filename 2.txt": b"4",
    }
    with pytest.raises(AmbassadorError, match="is no folder"):
        edit_image(image, ANY, NOW, lambda edit: edit.make_folder(("longfi~1.txt",), _WANTED))
    edit_image(image, ANY, NOW, lambda edit: edit.remove(("longfi~1.txt",), recursive=False))
    assert list(read_fat(image)) == ["Long Filename 2.txt"]


def test_a_file_that_is_marked_read_only_is_replaced_and_removed(tmp_path: Path) -> None:
    image = tmp_path / "boot.vfat"
    make_system(image, Part(4, "vfat", files={"a": b"1", "b": b"1"}))
    run("mattrib", "-i", image, "+r", "+h", "+s", "::/a", "::/b")
    edit_image(image, ANY, NOW, lambda edit: edit.put_file(("a",), b"2", _WANTED))
    edit_image(image, ANY, NOW, lambda edit: edit.remove(("b",), recursive=False))
    assert {name: seen.content for name, seen in read_fat(image).items()} == {"a": b"2"}


@pytest.mark.parametrize("name", ["*", "*.*", "c?nfig.txt", "[c]onfig.txt", "\\\\*"])
def test_a_name_that_mtools_takes_for_a_pattern_is_the_one_file(name: str, tmp_path: Path) -> None:
    """A device may have made it; mtools would not."""
    image = tmp_path / "boot.vfat"
    make_system(image, Part(1, "vfat", files={"a": None, "config.txt": b"kept", "odd name.txt": b"odd"}))
    _rename(image, "odd name.txt", name)
    before = fat_tree(image)
    assert before.keys() == {"a", "config.txt", name}
    if "?" not in name:  # which mdir shows as another letter
        with image_to_read(image) as opened:
            assert open_file(opened, (name,)).read() == b"odd"
        edit_image(image, ANY, NOW, lambda edit: edit.remove((name,), recursive=False))
        del before[name]
    for path in ("*", "conf*", "?onfig.txt", "[c]onfig.txt", "\\config.txt"):
        with pytest.raises(AmbassadorError, match="is not there"):
            edit_image(image, ANY, NOW, _removing(path))
    assert fat_tree(image) == before


def test_a_file_whose_name_is_a_pattern_is_not_replaced_by_its_short_name(tmp_path: Path) -> None:
    image = tmp_path / "boot.vfat"
    make_system(image, Part(1, "vfat", files={"a": None, "odd name.txt": b"odd"}))
    _rename(image, "odd name.txt", "*")
    before = digest(image)
    with pytest.raises(AmbassadorError, match=r"/\* ?: no name for FAT"):
        edit_image(image, ANY, NOW, _putting("ODDNAM~1.TXT"))
    assert digest(image) == before


def _removing(path: str) -> Callable[[Edit], None]:
    return lambda edit: edit.remove((path,), recursive=False)


def _rename(image: Path, name: str, other: str) -> None:
    """Write another name of at most 13 letters into an entry for a long one."""
    data = image.read_bytes()
    at = data.index(name[:5].encode("utf-16-le")) - 1
    letters = (other + "\0" * (len(other) < 13)).encode("utf-16-le").ljust(26, b"\xff")
    entry = bytearray(data[at : at + 32])
    entry[1:11], entry[14:26], entry[28:32] = letters[:10], letters[10:22], letters[22:]
    image.write_bytes(data[:at] + entry + data[at + 32 :])
