"""The runtime folder, and what the machine offers."""

import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mtls_ambassador.flows import machine
from mtls_ambassador.model.errors import AmbassadorError


def test_the_folder_is_private_and_goes() -> None:
    with TemporaryDirectory() as folder:  # not the test's own, whose path may be too long for a socket
        with machine.runtime_folder({"RUNTIME_DIRECTORY": f"{folder}:/elsewhere"}) as paths:
            assert str(paths.directory.parent) == folder
            assert stat.S_IMODE(paths.directory.stat().st_mode) == 0o700
            paths.config.write_text("{}")
        assert list(Path(folder).iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with (
        pytest.raises(AmbassadorError, match="cannot make the runtime folder: No such file"),
        machine.runtime_folder({"RUNTIME_DIRECTORY": str(missing)}),
    ):
        pass


def test_a_folder_too_deep_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    with (
        pytest.raises(AmbassadorError, match="too long a path for a Unix socket"),
        machine.runtime_folder({"RUNTIME_DIRECTORY": str(deep)}),
    ):
        pass
    assert list(deep.iterdir()) == []


def test_this_machine() -> None:
    found = machine.inspect()
    assert found.file_limit >= 64
    assert machine.cores() >= 1
