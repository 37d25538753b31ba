"""Ctrl-C in the middle of reading or writing a file system ends the edit there: nothing wrong is ever kept."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import Edit
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.overlay import RawFile
from support.images import Part, make_system

_WANTED = Attributes(0o644, 0, 0, 1_700_000_000)


class _Interrupted(RawFile):
    """An image at one of whose reads a person loses patience."""

    def __init__(self, descriptor: int, patience: int) -> None:
        super().__init__(descriptor)
        self.patience = patience

    def read(self, offset: int, length: int) -> bytes:
        self.patience -= 1
        if self.patience < 0:
            raise KeyboardInterrupt
        return super().read(offset, length)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    image = tmp_path / "image.ext4"
    make_system(image, Part(4, files={"folder/old": b"old" * 5000, "folder/other": None}))
    descriptor = os.open(image, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def _edit(source: RawFile) -> dict[int, bytes]:
    with Image(source, "image", _WANTED.mtime) as image:
        edit = Edit(image)
        edit.put_file(("folder", "old"), b"new" * 5000, _WANTED)
        edit.make_folder(("folder", "made"), _WANTED)
        edit.remove(("folder", "other"), recursive=True)
        return dict(edit.flush())


def test_wherever_it_comes(descriptor: int) -> None:
    unhurried = _Interrupted(descriptor, 1_000_000)
    whole = _edit(unhurried)
    reads = 1_000_000 - unhurried.patience
    assert reads > 40
    for patience in range(reads):
        with pytest.raises(KeyboardInterrupt):
            _edit(_Interrupted(descriptor, patience))
    assert _edit(_Interrupted(descriptor, reads)) == whole
