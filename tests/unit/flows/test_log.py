"""The log's two shapes."""

import json
import warnings
from collections.abc import Iterator

import pytest
import structlog

from mtls_ambassador.flows import log
from mtls_ambassador.settings import LogFormat


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(debug=False, form=LogFormat.JSON)
    logger = structlog.get_logger()
    logger.debug("hidden")
    logger.warning("shown", text="two\nlines")
    lines = capsys.readouterr().err.splitlines()
    assert [(each["event"], each["level"], each["text"]) for each in map(json.loads, lines)] == [
        ("shown", "warning", "two\nlines")
    ]


def test_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(debug=True, form=LogFormat.CONSOLE)
    structlog.get_logger().debug("shown", port=1)
    text = capsys.readouterr().err
    assert "shown" in text
    assert "port=1" in text
    assert "\x1b" not in text


HOSTILE = "a\r\nb\x1b[31m\0\x85\x9b\u2028\u202e\u2066\x7f"


def test_on_the_console_no_text_ends_its_line_or_speaks_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(debug=True, form=LogFormat.CONSOLE)
    structlog.get_logger().warning(HOSTILE, subject=HOSTILE, names=[HOSTILE], more={HOSTILE: HOSTILE})
    (line,) = capsys.readouterr().err.split("\n")[:-1]
    assert line.isprintable()
    assert "\\u202e" in line


def test_on_the_console_an_error_begins_no_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(debug=True, form=LogFormat.CONSOLE)
    try:
        int(HOSTILE + "\n1970-01-01T00:00:00Z [info] forged")
    except ValueError:
        structlog.get_logger().exception("failed")
    first, *rest = capsys.readouterr().err.rstrip("\n").split("\n")
    assert "failed" in first
    assert all(line.startswith("    ") and line.isprintable() for line in rest), rest
    assert "ValueError" in "".join(rest)


@pytest.mark.parametrize("form", list(LogFormat))
def test_libraries_that_warn_write_no_line(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(debug=True, form=form)
    warnings.warn("a name of 65536 characters", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == ""
