"""Envoy's output becomes lines of our log."""

import json
from collections.abc import Callable

import pytest
import structlog

from mtls_ambassador.flows.envoy_lines import LINES_PER_WINDOW, EnvoyLog, RefusalLog


def never(seconds: float, call: Callable[[], None]) -> None:
    """A clock that stands still."""


def test_a_refused_handshake() -> None:
    fields = {"refused_handshake": "certificate_has_expired", "address": "192.0.2.1:5", "serial": "0a", "subject": None}
    with structlog.testing.capture_logs() as lines:
        sent: list[bytes] = []
        RefusalLog(never, sent.append).read(json.dumps(fields).encode())
    assert sent == [json.dumps(fields).encode()]
    assert lines == [
        {
            "event": "handshake refused",
            "log_level": "warning",
            "reason": "expired",
            "cause": "the device certificate has expired",
            "address": "192.0.2.1:5",
            "serial": "0a",
        }
    ]


def unsent(line: bytes) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b"{}\n", b'"text"\n', b"\xff\n"])
def test_anything_else_is_handed_on(line: bytes) -> None:
    with structlog.testing.capture_logs() as lines:
        RefusalLog(never, unsent).read(line)
    assert [each["event"] for each in lines] == ["envoy says"]


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        (b"info\tmain\tall well\n", "debug", "all well"),
        (b"warning\tmain\tcareful\n", "warning", "careful"),
        (b"critical\tmain\tcannot\tbind\n", "error", "cannot\tbind"),
        (b"cannot bind\n", "error", "cannot bind"),
    ],
)
def test_envoys_own_log(line: bytes, level: str, text: str) -> None:
    log = EnvoyLog()
    with structlog.testing.capture_logs() as lines:
        log.read(line)
    assert [(each["log_level"], each["text"]) for each in lines] == [(level, text)]
    assert log.last_error() == (text if level == "error" else "")


def test_a_flood_becomes_counts_and_none_is_lost() -> None:
    windows: list[Callable[[], None]] = []
    sent: list[bytes] = []
    log = RefusalLog(lambda _, call: windows.append(call), sent.append)
    with structlog.testing.capture_logs() as lines:
        for reason in ["HTTP_REQUEST"] * LINES_PER_WINDOW + ["HTTP_REQUEST"] * 3 + ["certificate_has_expired"]:
            log.read(json.dumps({"refused_handshake": reason}).encode())
        assert len(windows) == 1
        windows[0]()
        log.read(b'{"refused_handshake": "HTTP_REQUEST"}')
        windows[1]()
    assert [each["event"] for each in lines] == [
        *["handshake refused"] * LINES_PER_WINDOW,
        "more handshakes refused",
        "handshake refused",
    ]
    assert lines[LINES_PER_WINDOW]["count"] == 4
    assert lines[LINES_PER_WINDOW]["causes"] == {
        "plain HTTP on the TLS port": 3,
        "the device certificate has expired": 1,
    }
    assert len(sent) == LINES_PER_WINDOW + 5


def test_a_connection_that_ended_is_handed_on_unread() -> None:
    sent: list[bytes] = []
    line = b'{"connection":"","serial":"0a"}\n'
    with structlog.testing.capture_logs() as lines:
        RefusalLog(never, sent.append).read(line)
    assert (sent, lines) == ([line], [])
