"""Why a simulated device did not get through: one error type, with a step, a kind and a reason that can be counted."""

import json
import ssl
from collections.abc import Iterator
from enum import StrEnum

import aiohttp

from mtls_ambassador.model.errors import AmbassadorError


class Step(StrEnum):
    """What the device was doing."""

    CONNECT = "connect"
    ENROL = "enrol"
    INVENTORY = "inventory"
    POLL = "poll"
    STATUS = "status"
    DOWNLOAD = "download"
    WEBSOCKET = "websocket"
    CALL = "call"


class Failure(StrEnum):
    """What kind of thing went wrong."""

    UNREACHABLE = "unreachable"
    """No TCP connection: refused, no such name, no route."""
    TLS = "tls"
    """The handshake failed; the reason names the alert, or what is wrong with the server's certificate."""
    DISCONNECTED = "disconnected"
    """The other side closed or reset the connection before an answer."""
    TIMEOUT = "timeout"
    HTTP = "http"
    """There was an answer, and it was not the one wanted."""


class DeviceError(AmbassadorError):
    """A step failed; `reason` is short and the same for the same cause, so that it can be counted."""

    def __init__(self, step: Step, failure: Failure, reason: str, *, status: int = 0, retry_after: str = "") -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.failure = failure
        self.reason = reason
        self.status = status
        """The HTTP status, or 0 when there was no answer."""
        self.retry_after = retry_after

    @property
    def handshake_refused(self) -> bool:
        """The connection ended without any HTTP answer: by an alert, or by a reset that overtook the alert."""
        return self.failure in {Failure.TLS, Failure.DISCONNECTED}


def http_error(step: Step, status: int, body: bytes, retry_after: str = "") -> DeviceError:
    """The error for an answer with this status; the reason carries Mender's `error` text when there is one."""
    text = mender_error(body)
    reason = f"HTTP {status} {text}".rstrip()
    return DeviceError(step, Failure.HTTP, reason, status=status, retry_after=retry_after)


def mender_error(body: bytes) -> str:
    """The `error` text of Mender's error body, or "" when the body is not one."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return ""
    error = parsed.get("error") if isinstance(parsed, dict) else None
    return error if isinstance(error, str) else ""


def connection_error(step: Step, error: BaseException) -> DeviceError:
    """The error for what aiohttp, asyncio or ssl raised; the innermost cause decides."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError | ssl.SSLEOFError):
            return DeviceError(step, Failure.TLS, _tls_reason(cause))
    if isinstance(error, TimeoutError):
        return DeviceError(step, Failure.TIMEOUT, "timeout")
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return DeviceError(step, Failure.HTTP, f"HTTP {error.status} to the WebSocket upgrade", status=error.status)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _connect_error(step, error.os_error)
    return DeviceError(step, Failure.DISCONNECTED, "connection closed before the answer ended")


def _connect_error(step: Step, error: OSError) -> DeviceError:
    if isinstance(error, ConnectionRefusedError):
        return DeviceError(step, Failure.UNREACHABLE, "connection refused")
    if isinstance(error, ConnectionError | ssl.SSLEOFError):
        return DeviceError(step, Failure.DISCONNECTED, "connection closed in the TLS handshake")
    return DeviceError(step, Failure.UNREACHABLE, error.strerror or str(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        cause = pending.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        pending += [_wrapped(cause), cause.__cause__, cause.__context__]


def _wrapped(error: BaseException) -> BaseException | None:
    """What aiohttp put inside its own error; its errors only look like those of ssl and lack their fields."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None


def _tls_reason(error: ssl.SSLError) -> str:
    """`alert certificate_required` for an alert of the other side (RFC 8446 section 6), else what we found wrong."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"server certificate: {error.verify_message.rstrip('.')}"
    reason = getattr(error, "reason", None) or "handshake failed"
    _, found, alert = reason.partition("ALERT_")
    return f"alert {alert.lower()}" if found else reason.lower().replace("_", " ")
