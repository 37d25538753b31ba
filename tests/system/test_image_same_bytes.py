"""The same edits at the same SOURCE_DATE_EPOCH give the same image, byte for byte, whenever they are made."""

import os
import subprocess
import sys
import time
from pathlib import Path

from mtls_ambassador.flows.edit_image import Edit, edit_image
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY
from support.ext_features import FEATURES
from support.image_model import digest
from support.images import BOOT, DATA, Part, make_disk, run

_PARTS = (
    Part(4, "vfat", label="BOOT", files=BOOT.files),
    Part(6, files={"etc/old": b"old" * 5000}),
    Part(6, *FEATURES["orphan-file"], files={"etc/old": b"old" * 5000}),
    Part(6, *FEATURES["inline-data-1k"], label="data", files=DATA.files),
)


def _edit(image: Path, source: Path, epoch: int) -> str:
    words = ("image", "install", "-p", "-m", "600", source, f"{image}:/data/new/folder/key")
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run([sys.executable, "-m", "mtls_ambassador", *words], env=environ, check=True, capture_output=True)
    wanted = Attributes(0o644, 0, 0, epoch)

    def change(edit: Edit) -> None:
        edit.make_folder(("uboot", "new"), wanted)
        edit.put_file(("uboot", "new", "some file.txt"), source.read_bytes(), wanted)
        edit.put_file(("etc", "old"), source.read_bytes(), wanted)

    edit_image(image, ANY, epoch, change)
    edit_image(image, ANY, epoch, lambda edit: edit.remove(("data", "new", "folder"), recursive=True))
    return digest(image)


def test_a_second_time_gives_the_same_bytes(tmp_path: Path) -> None:
    golden, source = tmp_path / "golden.sdimg", tmp_path / "source"
    make_disk(golden, _PARTS)
    source.write_bytes(b"content\n" * 1000)

    def edit(epoch: int) -> str:
        image = tmp_path / "image.sdimg"
        run("cp", "--sparse=always", golden, image)
        return _edit(image, source, epoch)

    first = {epoch: edit(epoch) for epoch in (0, 1_700_000_000)}
    time.sleep(2)  # the step of FAT's clock
    assert {epoch: edit(epoch) for epoch in first} == first
    assert len({*first.values(), digest(golden)}) == 3
