"""Files are made once, with their mode, or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, make_folder, read_file, replace, shred_files, write_new

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from mtls_ambassador.pki import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
getattr(files, sys.argv[1])(Path(sys.argv[2]), b"x" * 200)
"""


def test_a_private_file_has_its_mode_and_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_new(path, b"one", PRIVATE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(AmbassadorError, match="never overwritten"):
        write_new(path, b"two", PRIVATE)
    assert path.read_bytes() == b"one"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(AmbassadorError, match="never overwritten"):
        write_new(tmp_path / "link", b"one")
    assert not (tmp_path / "target").exists()


def test_what_a_link_leads_to_is_not_shredded(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"somebody's")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="is a symbolic link, and what it leads to is not shredded") as caught:
        shred_files(folder, [link])
    assert caught.value.filename == str(link)
    assert (tmp_path / "target").read_bytes() == b"somebody's"
    assert shred_files(folder, [tmp_path / "target"]) == 1
    os.close(folder)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("function", ["write_new", "replace"])
def test_a_file_that_does_not_fit_leaves_nothing_behind(tmp_path: Path, function: str) -> None:
    path = tmp_path / "file"
    if function == "replace":
        path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, function, str(path)], capture_output=True, text=True, check=False
    )
    assert "cannot be written: File too large" in done.stderr
    assert [item.read_text() for item in tmp_path.iterdir()] == (["old"] if function == "replace" else [])


def test_replacing_puts_a_whole_file_there(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        replace(tmp_path / "file", text)
        assert [item.read_bytes() for item in tmp_path.iterdir()] == [text]


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AmbassadorError, match="cannot be made: Not a directory"):
        write_new(tmp_path / "file" / "x", b"")
    with pytest.raises(AmbassadorError, match="cannot be made"):
        make_folder(tmp_path / "file" / "x")
    with pytest.raises(AmbassadorError, match="the key cannot be read: No such file"):
        read_file(tmp_path / "none", "the key")
