"""What is replaced or removed is freed with all that belongs to it: attributes and their inodes, and deep trees."""

import subprocess
from pathlib import Path

import pytest

from mtls_ambassador.image.entry import Attributes
from support.ext_features import FEATURES
from support.image_model import NOW, Modelled, make_folder, put, remove
from support.images import Part, Tree, make_system, run

_WANTED = Attributes(0o644, 0, 0, NOW)
_TREE: Tree = {"file": b"x" * 5000, "small": b"y", "folder/file": b"z" * 70, "shared": b"1", "link": "t" * 80}


def _free(image: Path) -> tuple[str, ...]:
    """Blocks and inodes."""
    said = run("dumpe2fs", "-h", image).decode()
    return tuple(line for line in said.splitlines() if line.startswith(("Free blocks:", "Free inodes:")))


@pytest.mark.parametrize(
    "name", ["default", "128-byte-inodes", "bigalloc", "inline-data", "inode-attributes", "all-at-once"]
)
def test_attributes_are_freed_with_their_files(name: str, tmp_path: Path) -> None:
    image, value = tmp_path / "image.ext4", tmp_path / "value"
    system, options = FEATURES[name]
    make_system(image, Part(16, system, options, files=_TREE))
    for place in ("file", "small", "folder", "folder/file"):
        for attribute, size in (("user.small", 10), ("user.large", 900), ("user.larger", 1000)):
            value.write_bytes(b"v" * size)
            run("debugfs", "-w", "-R", f"ea_set -f {value} /{place} {attribute}", image)
    # The library that sets them counts no blocks of the inodes that hold large ones.
    subprocess.run(["e2fsck", "-fy", image], check=False, capture_output=True)
    modelled = Modelled(image)
    for change in (put("file", b"new", _WANTED), remove("small"), remove("folder", recursive=True)):
        modelled.edit(change)
    modelled.edit(remove("file"), remove("shared"), remove("link"))
    modelled.check()
    empty = tmp_path / "empty.ext4"
    make_system(empty, Part(16, system, options))
    assert _free(image) == _free(empty)


def test_a_tree_deeper_than_python_may_call_is_removed(tmp_path: Path) -> None:
    image = tmp_path / "image.ext4"
    make_system(image, Part(8, options=("-N", "2048")))
    modelled = Modelled(image)
    modelled.edit(make_folder("/".join("d" * 600), _WANTED))
    modelled.edit(remove("d", recursive=True))
    modelled.check()
