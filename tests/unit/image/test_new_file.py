"""A new file is there whole or not at all, and takes no other's place."""

import errno
import os
from pathlib import Path

import pytest

from mtls_ambassador.image.new_file import new_file
from mtls_ambassador.model.errors import AmbassadorError


@pytest.fixture(params=["any", "FAT"], autouse=True)
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says on FAT, which not every kernel has."""
    if request.param == "FAT":
        real_open = os.open

        def refuse_unnamed(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported")
            return real_open(path, flags, mode, dir_fd=dir_fd)

        def refuse_link(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "open", refuse_unnamed)
        monkeypatch.setattr(os, "link", refuse_link)


def make(path: Path, content: bytes) -> None:
    with new_file(path) as descriptor:
        os.write(descriptor, content)


def test_it_has_its_name_at_the_end_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    with new_file(tmp_path / "a") as descriptor:
        os.write(descriptor, b"whole")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_of_two_at_once_one_is_refused_and_the_others_stays(tmp_path: Path) -> None:
    def second() -> None:
        with new_file(tmp_path / "a") as descriptor:
            os.write(descriptor, b"second")
            make(tmp_path / "a", b"first")

    with pytest.raises(AmbassadorError, match="is there by now"):
        second()
    assert (tmp_path / "a").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_that_leads_nowhere_is_not_taken_either(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(AmbassadorError, match="is there by now"):
        make(tmp_path / "a", b"x")


def test_nothing_is_left_when_it_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with new_file(tmp_path / "a"):
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - has no text
        fail()
    assert not list(tmp_path.iterdir())
