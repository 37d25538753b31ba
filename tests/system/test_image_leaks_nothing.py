"""Hundreds of edits in one process hold no file open, leave no temporary file, and take no more memory than one."""

import gc
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import Edit, edit_image
from mtls_ambassador.flows.read_image import image_to_read, listed, open_file
from mtls_ambassador.image.entry import Attributes
from mtls_ambassador.image.image import ANY
from mtls_ambassador.model.errors import AmbassadorError
from support.image_model import NOW
from support.images import BOOT, DATA, MIB, Part, make_disk

_WANTED = Attributes(0o644, 0, 0, NOW)
_ROOTFS = Part(5, files={"etc/old": b"old", "var/link": "/data"})


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.sdimg"
    make_disk(path, (Part(4, "vfat", files=BOOT.files), _ROOTFS, _ROOTFS, Part(5, files=DATA.files)))
    return path


def _put(path: tuple[str, ...], number: int) -> Callable[[Edit], None]:
    return lambda edit: edit.put(path, "file", b"%d" % number * 1000, _WANTED)


def _edit(image: Path, number: int) -> None:
    """One of each: done, refused, read whole and in part."""
    edit_image(image, ANY, NOW, _put(("var", "link", "file"), number))
    with pytest.raises(AmbassadorError, match="is not there"):
        edit_image(image, ANY, NOW, _put(("data", "missing", "file"), number))
    with image_to_read(image) as opened:
        listed(opened, ("data",))
        assert open_file(opened, ("data", "file")).read() == b"%d" % number * 1000
        next(open_file(opened, ("data", "file")).chunks())
        if not number % 25:
            next(open_file(opened, ("uboot", "config.txt")).chunks())
    if not number % 25:
        edit_image(image, ANY, NOW, _put(("uboot", "file"), number))
        with pytest.raises(AmbassadorError, match="no name for FAT"):
            edit_image(image, ANY, NOW, _put(("uboot", "a?"), number))


def _memory() -> int:
    """Bytes of this process in memory (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_three_hundred_edits_leave_nothing(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = image.with_name("temporary")
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for number in range(50):
        _edit(image, number)
    gc.collect()
    files, memory = _open_files(), _memory()
    for number in range(50, 300):
        _edit(image, number)
    gc.collect()
    assert _open_files() == files
    assert _memory() < memory + 4 * MIB
    assert not list(temporary.iterdir())
    assert {item.name for item in image.parent.iterdir()} == {image.name, temporary.name}


@pytest.mark.parametrize("path", ["/data/mender/key", "/uboot/key", "/etc/key"])
def test_python_has_no_warning(path: str, image: Path) -> None:
    source = image.with_name("source")
    source.write_bytes(b"content")
    python = [sys.executable, "-X", "dev", "-W", "error", "-m", "mtls_ambassador", "image"]
    for words in (("cp", source, f"{image}:{path}"), ("cat", f"{image}:{path}"), ("rm", f"{image}:{path}")):
        done = subprocess.run([*python, *words], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        assert "Traceback" not in done.stderr
