"""Folders that only the kernel can read or write right, encrypted or without case, are refused before anything is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import Edit, edit_image
from mtls_ambassador.flows.read_image import image_to_read, listed, open_file
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY
from mtls_ambassador.model.errors import AmbassadorError
from support.image_model import NOW, digest
from support.images import Part, check_ext, make_system, run

_WANTED = Attributes(0o644, 0, 0, NOW)


def _make(image: Path, feature: str, flag: int) -> str:
    """With a folder of that kind in it; returns the bytes' digest."""
    make_system(image, Part(8, options=("-O", feature), files={"folder/file": b"content", "other/file": b"o"}))
    run("debugfs", "-w", "-R", f"sif /folder flags {0x80000 | flag:#x}", image)
    return digest(image)


_CHANGES: dict[str, Callable[[Edit], None]] = {
    "put": lambda edit: edit.put_file(("folder", "new"), b"new", _WANTED),
    "replace": lambda edit: edit.put_file(("folder", "file"), b"new", _WANTED),
    "make": lambda edit: edit.make_folder(("folder", "new"), _WANTED),
    "remove": lambda edit: edit.remove(("folder", "file"), recursive=False),
}


@pytest.mark.parametrize(
    ("feature", "flag", "said"),
    [("encrypt", 0x800, r"encrypted \(fscrypt\)"), ("casefold", 0x40000000, r"\(casefold\)")],
)
def test_nothing_is_changed_in_one(feature: str, flag: int, said: str, tmp_path: Path) -> None:
    image = tmp_path / "image.ext4"
    before = _make(image, feature, flag)
    for change in _CHANGES.values():
        with pytest.raises(AmbassadorError, match=f"/folder.* {said}"):
            edit_image(image, ANY, NOW, change)
    assert digest(image) == before


def test_an_encrypted_one_is_not_looked_into(tmp_path: Path) -> None:
    image = tmp_path / "image.ext4"
    _make(image, "encrypt", 0x800)
    with image_to_read(image) as opened:
        assert [entry.name for entry in listed(opened, ())] == ["folder", "lost+found", "other"]
        for look in (lambda: listed(opened, ("folder",)), lambda: open_file(opened, ("folder", "file"))):
            with pytest.raises(AmbassadorError, match=r"/folder is encrypted \(fscrypt\)"):
                look()


def test_the_others_are_changed(tmp_path: Path) -> None:
    image = tmp_path / "image.ext4"
    _make(image, "casefold", 0x40000000)
    edit_image(image, ANY, NOW, lambda edit: edit.put_file(("other", "new"), b"n", _WANTED))
    with image_to_read(image) as opened:
        assert open_file(opened, ("folder", "file")).read() == b"content"
    check_ext(image)
