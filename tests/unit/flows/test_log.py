"""The log's two shapes."""

import json
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
