"""Envoy's output becomes lines of our log."""

import json
from collections.abc import Callable

import pytest
import structlog

from mtls_ambassador.flows.envoy_lines import LINES_PER_WINDOW, EnvoyLog, RefusalLog, cause


def never(seconds: float, call: Callable[[], None]) -> None:
    """A clock that stands still."""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "TLS_error:|268435648:SSL_routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:peer_did_not_x",
            "the device sent no certificate",
        ),
        (
            "OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_certificate_has_expired:TLS_error_end",
            "the device certificate has expired",
        ),
        ("TLS_error:|1:SSL_routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end", "plain HTTP instead of TLS"),
        ("something_new", "something new"),
    ],
)
def test_causes_in_plain_words(reason: str, words: str) -> None:
    assert cause(reason) == words


def test_a_refused_handshake() -> None:
    fields = {"refused_handshake": "certificate_has_expired", "address": "192.0.2.1:5", "serial": "0a", "subject": None}
    with structlog.testing.capture_logs() as lines:
        RefusalLog(never).read(json.dumps(fields).encode())
    assert lines == [
        {
            "event": "handshake refused",
            "log_level": "warning",
            "cause": "the device certificate has expired",
            "address": "192.0.2.1:5",
            "serial": "0a",
        }
    ]


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b"{}\n", b'"text"\n', b"\xff\n"])
def test_anything_else_is_handed_on(line: bytes) -> None:
    with structlog.testing.capture_logs() as lines:
        RefusalLog(never).read(line)
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
    log = RefusalLog(lambda _, call: windows.append(call))
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
        "plain HTTP instead of TLS": 3,
        "the device certificate has expired": 1,
    }
