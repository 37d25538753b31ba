"""What Envoy prints, as lines of our log: refused handshakes in plain words, its own messages with their level."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from mtls_ambassador.envoy.listener import DENIED_KEY, HANDSHAKE_KEY

CAUSES = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the device sent no certificate",
    "unable_to_get_local_issuer_certificate": "the device certificate is of another CA, or its intermediate is unknown",
    "unable_to_get_issuer_certificate": "the CA bundle lacks the root of the device certificate's intermediate",
    "self_signed_certificate": "the device certificate is self-signed or of another CA",
    "certificate_has_expired": "the device certificate has expired",
    "certificate_is_not_yet_valid": "the device certificate is not valid yet",
    "certificate_revoked": "the device certificate is revoked",
    "certificate_signature_failure": "the device certificate's signature is wrong",
    "unsupported_certificate_purpose": "the device certificate is not meant for TLS clients",
    "unsuitable_certificate_purpose": "the device certificate is not meant for TLS clients",
    "invalid_CA_certificate": "the device certificate was signed by a certificate that is no CA",
    "UNSUPPORTED_PROTOCOL": "the device offers no TLS version allowed here",
    "HTTP_REQUEST": "plain HTTP instead of TLS",
    "WRONG_VERSION_NUMBER": "not TLS",
    "NO_SHARED_CIPHER": "no cipher in common",
    "NO_COMMON_SIGNATURE_ALGORITHMS": "no signature algorithm in common",
    "TLSV1_ALERT_UNKNOWN_CA": "the device does not know the CA of the server certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the device finds the server certificate expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the device refuses the server certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the device refuses the server certificate",
    "BAD_SIGNATURE": "the device does not hold the key of its certificate",
    "timeout": "the handshake took too long",
}
"""Words of BoringSSL and Envoy to plain ones; the first one found counts."""

WINDOW = 1.0
LINES_PER_WINDOW = 20


def cause(reason: str) -> str:
    """Why a handshake failed, in plain words; Envoy's own where there are none."""
    return next((words for code, words in CAUSES.items() if code.lower() in reason.lower()), reason.replace("_", " "))


DENIALS = {
    "serial": "its serial is denied",
    "dates": "certificates of its time are denied",
    "ca": "its CA is denied",
    "unseen": "its CA only lets in devices seen before",
    "expired": "the device certificate has expired",
    "not-yet-valid": "the device certificate is not valid yet",
}
"""What the denylist's filter gives as the reason."""


@dataclass(slots=True)
class _Window:
    """Lines of one kind within a second."""

    event: str
    lines: int = 0
    unnamed: Counter[str] = field(default_factory=Counter)


class RefusalLog:
    """Lines of Envoy's standard output: refused handshakes, denied calls, and texts handed on as they are.

    Anyone can make handshakes fail, so that each second has only so many lines of its own; the rest of that second is
    one line of counts, and none is lost.
    """

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        """Take `later(seconds, call)`, which calls `call` after that time."""
        self._later = later
        self._handshakes, self._calls = _Window("handshakes"), _Window("calls")

    def read(self, line: bytes) -> None:
        """One line."""
        try:
            fields = json.loads(line)
            if HANDSHAKE_KEY in fields:
                self._tell(self._handshakes, "handshake refused", cause(str(fields[HANDSHAKE_KEY])), fields)
            else:
                denial = str(fields[DENIED_KEY])
                self._tell(self._calls, "call refused", DENIALS.get(denial, denial), fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            structlog.get_logger().info("envoy says", text=line.decode(errors="replace").rstrip())

    def _tell(self, window: _Window, event: str, why: str, fields: dict[str, Any]) -> None:
        if window.lines == 0:
            self._later(WINDOW, lambda: self._end(window))
        window.lines += 1
        if window.lines > LINES_PER_WINDOW:
            window.unnamed[why] += 1
            return
        known = {key: fields.get(key) for key in ("address", "serial", "subject", "issuer") if fields.get(key)}
        structlog.get_logger().warning(event, cause=why, **known)

    def _end(self, window: _Window) -> None:
        """Say how many more there were, and begin anew."""
        if window.unnamed:
            counts = dict(window.unnamed.most_common())
            text = f"more {window.event} refused"
            structlog.get_logger().warning(text, count=window.unnamed.total(), causes=counts)
        window.lines = 0
        window.unnamed.clear()


class EnvoyLog:
    """Envoy's own log, handed on line by line; the last error is kept for the case that Envoy ends."""

    def __init__(self) -> None:
        self._last_error = ""

    def last_error(self) -> str:
        """The text of the last error, empty when there was none."""
        return self._last_error

    def read(self, line: bytes) -> None:
        """One line, with its level and component; a line of another shape counts as an error."""
        level, component, text = ["error", "", *line.decode(errors="replace").rstrip().split("\t", 2)][-3:]
        log = structlog.get_logger()
        match level:
            case "trace" | "debug" | "info":
                log.debug("envoy", component=component, text=text)
            case "warning":
                log.warning("envoy", component=component, text=text)
            case _:
                self._last_error = text
                log.error("envoy", component=component, text=text)
