"""Whole images on a file system that can share blocks (XFS) take the room of what differs, and are right."""

import os
import shutil
import subprocess
from pathlib import Path

from support.golden import CERTIFICATE, Line, e2fsck, read_image


def test_ten_images_take_less_room_than_the_golden_image(tmp_path: Path) -> None:
    line = Line(tmp_path)
    place, backing = tmp_path / "xfs", tmp_path / "backing"
    place.mkdir()
    with backing.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.xfs", "-q", backing], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", backing, place], check=True)
    try:
        golden = place / "golden.sdimg"
        golden.write_bytes(line.golden.read_bytes())  # without holes
        line.golden = golden
        before = shutil.disk_usage(place).used
        line.provision("--count", "10", "--name", "cam-{n}", "--format", "full", out="xfs/out")
        line.run("image", "apply", _patch(line), golden, place / "applied.img")
        os.sync()
        taken = shutil.disk_usage(place).used - before
        assert taken < golden.stat().st_size / 4, f"{taken} bytes for eleven images of {golden.stat().st_size}"
        for image in (place / "out/cam-10.sdimg", place / "applied.img"):
            assert b"CERTIFICATE" in read_image(image, CERTIFICATE)
            for number in (2, 3, 4):
                e2fsck(image, number)
    finally:
        subprocess.run(["umount", place], check=True)


def _patch(line: Line) -> Path:
    line.provision("--count", "1", "--name", "patched-{n}", out="patches")
    return line.home / "patches/patched-1.patch"
