"""File systems made to take all time and memory: a reason is told, and Ctrl-C ends it."""

import os
import struct
from pathlib import Path

import pytest

from mtls_ambassador.image.image import Image
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.model.errors import AmbassadorError
from support.image_cli import debugfs, image, patch_bytes
from support.images import Part, make_system

BLOCK, CIRCLE = 1024, 512
"""Size of a block; the one that says of itself where it is, which is a folder's block with two names as well."""


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A folder of 16 million blocks, all of them the same one."""
    path = tmp_path / "a.ext2"
    make_system(path, Part(2, "ext2", ("-b", str(BLOCK)), files={"loop": None, "link": "x" * 200}))
    debugfs(path, f"sif /loop block[TIND] {CIRCLE}")
    patch_bytes(path, CIRCLE * BLOCK, struct.pack("<I", CIRCLE) * (BLOCK // 4))
    return path


def test_a_folder_without_end(system: Path) -> None:
    assert "is in its folder twice: damaged" in image("ls", f"{system}:/loop", code=1).err
    assert "leads in a circle: damaged" in image("cat", f"{system}:/loop/x", code=1).err


class _Impatient(RawFile):
    """An image at one of whose reads a person presses Ctrl-C, once."""

    left, after = 100, 0

    def read(self, offset: int, length: int) -> bytes:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        self.after += self.left < 0
        return super().read(offset, length)


def test_ctrl_c_ends_it(system: Path) -> None:
    descriptor = os.open(system, os.O_RDONLY)
    source = _Impatient(descriptor)
    with Image(source, "image", 0) as opened, pytest.raises(KeyboardInterrupt):
        opened.system(opened.volumes[0]).entry(("loop", "x"))
    os.close(descriptor)
    assert source.after == 0


def test_a_link_to_more_than_a_path(system: Path) -> None:
    debugfs(system, "sif /link size 4097")
    assert "/link is a link to a path of 4097 bytes: damaged" in image("cat", f"{system}:/link", code=1).err
    descriptor = os.open(system, os.O_RDONLY)
    with Image(RawFile(descriptor), "image", 0) as opened, pytest.raises(AmbassadorError, match="damaged"):
        opened.system(opened.volumes[0]).entries(())
    os.close(descriptor)
