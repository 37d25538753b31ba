"""Files are replaced whole, with mode and owner; content without a name has holes where there are zeros."""

import os
import stat
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.staged import Staged, replace_text, staged_path, unnamed_file, write_sparse

PAGES = st.lists(st.tuples(st.binary(max_size=1), st.integers(0, 9000)), max_size=6)


@given(runs=PAGES, cut=st.integers(1, 5000))
def test_sparse_files_have_the_same_content(runs: list[tuple[bytes, int]], cut: int) -> None:
    data = b"".join((mark or b"\0") * count for mark, count in runs)
    with unnamed_file(Path("/tmp")) as file:  # noqa: S108 - it has no name
        write_sparse(file, [data[at : at + cut] for at in range(0, len(data), cut)])
        assert os.fstat(file).st_size == len(data)
        assert os.pread(file, len(data) + 1, 0) == data


def test_zeros_take_no_room(tmp_path: Path) -> None:
    with unnamed_file(tmp_path) as file:
        write_sparse(file, [bytes(3 << 20), b"x", bytes(5 << 20)])
        assert os.fstat(file).st_blocks * 512 <= 8192
        assert not list(tmp_path.iterdir())


def test_a_new_version_has_mode_and_owner_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 1234, 2345)
    staged_path(path).write_text("what an edit left that was killed")
    replace_text(path, "new")
    status = path.stat()
    assert (path.read_text(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == ("new", 0o640, 1234, 2345)
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_without_commit_the_old_version_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with Staged(path) as new:
        new.file.write(b"new")
        assert staged_path(path).exists()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
