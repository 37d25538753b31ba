import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtls_ambassador.settings.files import file_fault, is_world_readable, read_secret

NOBODY = 65534


@contextmanager
def without_root() -> Iterator[None]:
    """Root may read everything, so its powers are put down for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_file_with_something_in_it_is_fine(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert file_fault(tmp_path / "file") is None


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0)
    with without_root():
        assert file_fault(path) == "cannot be read: Permission denied"


@pytest.mark.parametrize("name", ["file/below", "a" * 300, "a\0b", "\ud800"])
def test_paths_that_lead_nowhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    assert (file_fault(tmp_path / name) or "").startswith(("cannot be read", "is not a path", "does not exist"))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in (file_fault(tmp_path / "pipe") or "")
    with pytest.raises(ValueError, match="not a regular file"):
        read_secret(tmp_path / "pipe")


def test_world_readable(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o600)
    assert not is_world_readable(tmp_path / "file")
    (tmp_path / "file").chmod(0o604)
    assert is_world_readable(tmp_path / "file")
    assert not is_world_readable(tmp_path / "no")
    assert not is_world_readable(tmp_path / "a\0b")
