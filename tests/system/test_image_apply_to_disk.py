"""Golden image and patch on a block device: refused while it is in use, asked before, and right in every byte after."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtls_ambassador.flows.apply_patch import Request, apply_patch
from mtls_ambassador.image.progress import no_progress
from mtls_ambassador.image.target import Disk, look_at, refusal
from mtls_ambassador.model.errors import AmbassadorError
from support.golden import CERTIFICATE, KEY, Line, read_image


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("line"))
    line.provision("--count", "2", "--name", "cam-{n}")
    return line


@contextmanager
def disk(tmp_path: Path, size: int = 64 << 20) -> Iterator[Path]:
    """A loop device, which is a whole disk to the system, full of noise as a used card is."""
    backing = tmp_path / "backing"
    backing.write_bytes(os.urandom(1 << 20) * (size >> 20))
    found = subprocess.run(["losetup", "-f", "--show", backing], check=True, capture_output=True, text=True)
    try:
        yield Path(found.stdout.strip())
    finally:
        subprocess.run(["losetup", "-d", found.stdout.strip()], check=True)


def test_the_golden_image_and_the_patch_are_on_it_and_zeros_where_the_image_has_holes(
    line: Line, tmp_path: Path
) -> None:
    patch, wanted = line.home / "out/cam-1.patch", tmp_path / "wanted.img"
    line.run("image", "apply", patch, line.golden, wanted)
    with disk(tmp_path) as device:
        said = line.run("image", "apply", patch, line.golden, device, "--yes")
        assert "golden image and patch read back right" in said
        assert device.read_bytes()[: wanted.stat().st_size] == wanted.read_bytes()
        assert "was there already" in line.run("image", "apply", patch, line.golden, device, "--yes", "--patch-only")
        assert b"CERTIFICATE" in read_image(device, CERTIFICATE)
        other = line.home / "out/cam-2.patch"
        said = line.run("image", "apply", other, line.golden, device, "--yes", "--patch-only", code=1)
        assert "is no copy of the golden image" in said


def test_it_is_asked_before_and_a_script_must_say_yes(line: Line, tmp_path: Path) -> None:
    patch = line.home / "out/cam-1.patch"
    with disk(tmp_path) as device:
        before = device.read_bytes()
        assert "all on it would be lost: say --yes" in line.run("image", "apply", patch, line.golden, device, code=2)
        assert device.read_bytes() == before
        told = answered("n\n", line, "image", "apply", patch, line.golden, device)
        assert "NOT removable" in told
        assert "All on it will be lost. Write?" in told
        assert device.read_bytes() == before
        assert "read back right" in answered("y\n", line, "image", "apply", patch, line.golden, device)


def answered(answer: str, line: Line, *words: str | Path) -> str:
    """What a command says at a terminal to somebody who answers so."""
    ours, theirs = pty.openpty()
    try:
        argv = [sys.executable, "-m", "mtls_ambassador", *map(str, words)]
        process = subprocess.Popen(argv, env=line.environ, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        os.write(ours, answer.encode())
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        process.wait(timeout=60)
        return said.decode(errors="replace")
    finally:
        os.close(ours)


def test_another_disk_plugged_in_while_it_is_asked_is_not_written(line: Line, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine" * (16 << 20))
    with disk(tmp_path) as device:

        def replug(asked: Disk) -> None:
            assert asked.path == device
            subprocess.run(["losetup", "-d", device], check=True)
            subprocess.run(["losetup", device, other], check=True)

        request = Request(line.home / "out/cam-1.patch", line.golden, device, False, replug, no_progress)  # noqa: FBT003
        with pytest.raises(AmbassadorError, match="is not the disk it was a moment ago"):
            apply_patch(request)
    assert other.read_bytes() == b"mine" * (16 << 20)


def test_a_golden_image_on_a_disk(line: Line, tmp_path: Path) -> None:
    patch, size = line.home / "out/cam-1.patch", line.golden.stat().st_size
    with disk(tmp_path, size) as device:
        device.write_bytes(line.golden.read_bytes())
        line.run("image", "apply", patch, device, tmp_path / "a.img")
        line.run("image", "apply", patch, line.golden, tmp_path / "wanted.img")
        assert (tmp_path / "a.img").read_bytes() == (tmp_path / "wanted.img").read_bytes()
        said = line.run("image", "apply", patch, device, device, "--yes", code=1)
        assert "is the golden image itself" in said
        with device.open("r+b") as file:
            file.write(b"other")
        assert "is not the golden image" in line.run("image", "apply", patch, device, tmp_path / "b.img", code=1)


def test_mounted_busy_and_small_disks_are_refused_untouched(line: Line, tmp_path: Path) -> None:
    patch = line.home / "out/cam-1.patch"
    place = tmp_path / "mnt"
    place.mkdir()
    with disk(tmp_path) as device:
        subprocess.run(["mke2fs", "-q", "-F", device], check=True)
        subprocess.run(["mount", device, place], check=True)
        try:
            said = line.run("image", "apply", patch, line.golden, device, "--yes", code=1)
        finally:
            subprocess.run(["umount", place], check=True)
        assert f"{device}: is mounted at {place}; unmount it first" in said
    with disk(tmp_path) as device:
        held = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            said = line.run("image", "apply", patch, line.golden, device, "--yes", code=1)
        finally:
            os.close(held)
        assert "is it in use?" in said
    with disk(tmp_path, 32 << 20) as device:
        assert "has 33554432 bytes" in line.run("image", "apply", patch, line.golden, device, "--yes", code=1)


def test_the_disk_this_machine_runs_from_counts_as_mounted() -> None:
    number = Path("/").stat().st_dev
    own = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    if own.is_dir():  # not where the root is a network or overlay file system
        found = look_at(Path("/dev", own.name))
        assert found is not None
        assert "is mounted at /" in refusal(found, 1, is_table=False)


def test_a_disk_that_bmaptool_wrote_gets_its_patch_over_what_the_map_leaves_out(line: Line, tmp_path: Path) -> None:
    golden, bmap = line.golden, line.golden.with_suffix(".bmap")
    patch = line.home / "out/cam-1.patch"
    subprocess.run(["bmaptool", "create", "-o", bmap, golden], check=True, capture_output=True)
    try:
        with disk(tmp_path) as device:
            subprocess.run(["bmaptool", "copy", "--bmap", bmap, golden, device], check=True, capture_output=True)
            assert "patch (" in line.run("image", "apply", patch, golden, device, "--yes", "--patch-only")
            check_systems(device)
        with disk(tmp_path) as device:
            noise = device.read_bytes()
            assert "golden image and patch" in line.run("image", "apply", patch, golden, device, "--yes")
            check_systems(device)
            assert device.read_bytes()[:4096] != noise[:4096]
            assert device.read_bytes()[2 << 20 : 3 << 20] == noise[2 << 20 : 3 << 20], "as bmaptool, it leaves the rest"
        bmap.write_text(bmap.read_text().replace("<BlockSize> 4096", "<BlockSize> 8192"))
        with disk(tmp_path) as device:
            assert "golden.bmap: " in line.run("image", "apply", patch, golden, device, "--yes", code=1)
    finally:
        bmap.unlink()


def check_systems(device: Path) -> None:
    assert b"PRIVATE KEY" in read_image(device, KEY)
    for offset in (12 << 20, 28 << 20, 44 << 20):
        subprocess.run(["e2fsck", "-fn", f"{device}?offset={offset}"], check=True, capture_output=True)
