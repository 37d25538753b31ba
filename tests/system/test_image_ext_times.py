"""Times are kept as far as an inode can: also after 2038, and so early that e2fsck takes them for something else."""

from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import Edit, edit_image
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY
from support.ext_features import FEATURES
from support.image_model import NOW, Change, Modelled, make_folder, put, remove
from support.images import Part, check_ext, make_system


@pytest.mark.parametrize("time", [0, 1000, 2**31, 2**32 - 1])
@pytest.mark.parametrize("name", ["default", "128-byte-inodes", "inline-data-1k"])
def test_any_time_is_kept(name: str, time: int, tmp_path: Path) -> None:
    image, now = tmp_path / "image.ext4", min(time, NOW)
    system, options = FEATURES[name]
    make_system(image, Part(4, system, options, files={"file": b"x" * 5000, "old": b"x"}))
    modelled, wanted = Modelled(image), Attributes(0o644, 0, 0, time)

    def edit(*changes: Change) -> None:
        def make(edit: Edit) -> None:
            for change in changes:
                change.make(modelled.model, edit)

        edit_image(image, ANY, now, make)
        check_ext(image)

    edit(put("file", b"1", wanted), put("small", b"1", wanted), make_folder("made", wanted))
    edit(put("file", b"2" * 9000, wanted), remove("old"), remove("small"))
    tree = modelled.model.tree
    for path, seen in tree.items():
        tree[path] = replace(seen, mtime=min(time, 2**31 - 1 if name == "128-byte-inodes" else time))
    modelled.check()
