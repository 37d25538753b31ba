"""Reasons are short, the same for the same cause, and say what a person would look for."""

import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from mtls_ambassador.sandbox.device_errors import Failure, Step, connection_error, http_error

KEY = ConnectionKey("gateway", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error":"dev auth: unauthorized"}', "HTTP 401 dev auth: unauthorized"),
        (b'{"error":7}', "HTTP 401"),
        (b'["error"]', "HTTP 401"),
        (b"<html>", "HTTP 401"),
        (b"\xff", "HTTP 401"),
        (b"", "HTTP 401"),
    ],
)
def test_an_answer_is_named_by_status_and_menders_text(body: bytes, reason: str) -> None:
    error = http_error(Step.ENROL, 401, body)
    assert (error.failure, error.reason, str(error)) == (Failure.HTTP, reason, f"enrol: {reason}")


@pytest.mark.parametrize(
    ("cause", "failure", "reason"),
    [
        (ConnectionRefusedError(111, "x"), Failure.UNREACHABLE, "connection refused"),
        (ConnectionResetError(), Failure.DISCONNECTED, "connection closed in the TLS handshake"),
        (ssl.SSLEOFError(8, "EOF"), Failure.DISCONNECTED, "connection closed in the TLS handshake"),
        (socket.gaierror(-2, "Name or service not known"), Failure.UNREACHABLE, "Name or service not known"),
        (OSError("Multiple exceptions"), Failure.UNREACHABLE, "Multiple exceptions"),
        (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), Failure.TLS, "alert certificate_required"),
        (alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), Failure.TLS, "alert certificate_expired"),
        (alert("WRONG_VERSION_NUMBER"), Failure.TLS, "wrong version number"),
        (ssl.SSLError(), Failure.TLS, "handshake failed"),
    ],
)
def test_a_connection_that_never_was_is_named_by_its_innermost_cause(
    cause: OSError, failure: Failure, reason: str
) -> None:
    error = connection_error(Step.ENROL, aiohttp.ClientConnectorError(KEY, cause))
    assert (error.failure, error.reason, error.status) == (failure, reason, 0)


def test_an_alert_is_found_behind_other_errors() -> None:
    outer = aiohttp.ServerDisconnectedError()
    outer.__context__ = aiohttp.ClientOSError("x")
    outer.__context__.__cause__ = alert("TLSV1_ALERT_UNKNOWN_CA")
    outer.__context__.__context__ = outer
    assert connection_error(Step.POLL, outer).reason == "alert unknown_ca"


def test_waiting_and_being_cut_off_are_told_apart() -> None:
    assert connection_error(Step.POLL, aiohttp.ServerTimeoutError()).failure is Failure.TIMEOUT
    cut = connection_error(Step.POLL, aiohttp.ServerDisconnectedError())
    assert (cut.failure, cut.handshake_refused) == (Failure.DISCONNECTED, True)
