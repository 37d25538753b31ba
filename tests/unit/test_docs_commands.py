"""The shell blocks of the pages a test runs: found, in order, at their lines, and none left out by its label."""

import subprocess
from pathlib import Path

import pytest

from support.pages import EXECUTED, languages_of, run_page, script_of

PAGE = "# Page\n\n```sh\na=1\n```\ntext\n```text\nnot run\n```\n```sh\necho $((a + 1))\ncat <<END\nx\nEND\n```\n"


def test_the_blocks_run_in_one_shell_each_at_its_line() -> None:
    script = script_of(PAGE)
    assert script.splitlines()[3] == "a=1"
    assert subprocess.run(["bash", "-eu"], input=script, capture_output=True, text=True, check=True).stdout == "2\nx\n"
    assert "not run" not in script


def test_a_failing_command_fails_the_page_and_names_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("a=1", "no-such-command"))
    (tmp_path / "run").mkdir()
    with pytest.raises(AssertionError, match=r"page\.sh: line 4: no-such-command"):
        run_page(page, tmp_path / "run")


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.name)
def test_every_block_of_an_executed_page_says_whether_it_is_run(page: Path) -> None:
    assert languages_of(page.read_text()) <= {"sh", "text", "json", "csv"}
    assert "mtls-ambassador" in script_of(page.read_text())
