"""An artifact of the real mender-artifact, read back by it."""

import subprocess
from pathlib import Path

import pytest

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.sandbox.real_artifact import available, make_file_artifact


def test_the_tool_reads_back_what_it_made(tmp_path: Path) -> None:
    assert available() == ""
    artifact = tmp_path / "a.mender"
    artifact.write_bytes(make_file_artifact("release-2", "simulated", b"new\n", tmp_path / "installed.txt"))
    text = subprocess.run(["mender-artifact", "read", artifact], capture_output=True, check=True, text=True).stdout
    assert "Name: release-2" in text
    assert "simulated" in text
    assert "single-file" in text
    assert "installed.txt" in text


def test_the_tools_own_words_come_through(tmp_path: Path) -> None:
    with pytest.raises(AmbassadorError, match="mender-artifact: "):
        make_file_artifact("", "simulated", b"", tmp_path / "x")
