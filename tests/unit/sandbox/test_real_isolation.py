"""Links that make Mender's programs see a private folder: put up where nothing is, taken away after."""

from pathlib import Path

import pytest

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.sandbox.real_isolation import links_into


def test_links_are_there_during_the_block_and_gone_after(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("seen")
    target = tmp_path / "target"
    with links_into(tmp_path, (("source", str(target)),)):
        assert target.read_text() == "seen"
    assert not target.is_symlink()


def test_what_is_there_already_stays_and_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.write_text("of a real device")
    links = (("source", str(first)), ("source", str(second)))
    with pytest.raises(AmbassadorError, match=f"{second} exists"), links_into(tmp_path, links):
        pass
    assert second.read_text() == "of a real device"
    assert not first.is_symlink()


def test_a_link_left_by_a_run_that_was_killed_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("new")
    target = tmp_path / "target"
    target.symlink_to(tmp_path / "gone")
    with links_into(tmp_path, (("source", str(target)),)):
        assert target.read_text() == "new"
    assert not target.is_symlink()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(AmbassadorError, match="gone/target: No such file"),
        links_into(tmp_path, (("source", str(tmp_path / "gone/target")),)),
    ):
        pass
