"""A handshake and an auth request as a device makes them, each step explained from the device's side."""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.model.finding import Finding, fail, ok, warn
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.model.refusal import HandshakeCause
from mtls_ambassador.pki.issue import PrivateKey
from mtls_ambassador.sandbox.device_wire import make_auth_request

AUTH_REQUESTS = "/api/devices/v1/authentication/auth_requests"
WITHIN = 20.0
"""Seconds for each step."""
LARGEST = 64 * 1024
_CODE = re.compile(r"\(([a-z-]+)\)$")
_ALERTS = {
    "CERTIFICATE_REQUIRED": HandshakeCause.NO_CERTIFICATE,
    "ALERT_UNKNOWN_CA": HandshakeCause.UNKNOWN_CA,
    "CERTIFICATE_EXPIRED": HandshakeCause.EXPIRED,
    "CERTIFICATE_REVOKED": HandshakeCause.REVOKED,
    "UNSUPPORTED_CERTIFICATE": HandshakeCause.WRONG_USAGE,
    "PROTOCOL_VERSION": HandshakeCause.PROTOCOL_TOO_OLD,
    "HANDSHAKE_FAILURE": HandshakeCause.NO_COMMON_ALGORITHM,
    "BAD_CERTIFICATE": HandshakeCause.NOT_YET_VALID,
}
"""Alerts of the gateway (RFC 8446 section 6.2), as OpenSSL names them: by its words the first that fits."""


@dataclass(frozen=True, slots=True)
class Guise:
    """What the device has."""

    url: str
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    """What the gateway's certificate must chain to; None means the system's trust store."""
    identity: str = ""
    """JSON; empty for no auth request."""
    auth_key: Path | None = None
    """Signs the auth request in place of the certificate's key."""


def check_as_device(guise: Guise) -> Iterator[Finding]:
    """From the name to the auth request; the first failure ends it. Raises UsageError, AmbassadorError."""
    url = urlsplit(guise.url)
    if url.scheme != "https" or not url.hostname:
        raise UsageError("--url: must be like https://gateway.example.com, as ServerURL in mender.conf")
    context = _context(guise)
    host, port = url.hostname, url.port or 443
    try:
        plain = socket.create_connection((host, port), timeout=WITHIN)
    except OSError as error:
        yield fail("connection", f"{host}:{port}: {error}", "check name, address, port and firewall")
        return
    yield ok("connection", f"{host}:{port} answers ({plain.getpeername()[0]})")
    try:
        with context.wrap_socket(plain, server_hostname=host) as secure:
            # In TLS 1.3 the gateway's word on the certificate comes after the handshake: the first answer has it.
            answer = _exchange(secure, host, "GET", "/status", {}, b"")
            yield ok("handshake", f"{secure.version()}, the gateway takes the certificate (HTTP {answer[0]})")
    except OSError as error:
        yield _refused(error, guise)
        return
    if guise.identity:
        yield from _auth_request(guise, context, host, port)


def _context(guise: Guise) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(guise.ca) if guise.ca else None)
        if guise.certificate is not None:
            context.load_cert_chain(guise.certificate, guise.key, password=lambda: "")
    except ssl.SSLError as error:
        raise AmbassadorError(
            f"--ca, --cert, --key: {error.reason or error}; the key must be the certificate's"
        ) from error
    except OSError as error:
        raise AmbassadorError(f"--ca, --cert, --key: {error.filename or ''}: {error.strerror}") from error
    return context


def _refused(error: OSError, guise: Guise) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        seen = f"the gateway's certificate is not trusted: {error.verify_message}"
        return fail("handshake", seen, "give its CA by --ca (ServerCertificate in mender.conf), and look at this clock")
    text = getattr(error, "reason", "") or str(error)
    cause = next((found for mark, found in _ALERTS.items() if mark in text), None)
    if cause is None and guise.certificate is None:
        cause = HandshakeCause.NO_CERTIFICATE
    if cause is None:
        return fail("handshake", f"refused: {text}", "`mtls-ambassador device why` on the gateway says why")
    return fail("handshake", f"refused: {cause.text} ({cause.code})", cause.hint)


def _auth_request(guise: Guise, context: ssl.SSLContext, host: str, port: int) -> Iterator[Finding]:
    key = _key(guise)
    made = make_auth_request(_identity(guise.identity), key)
    headers = {"Content-Type": "application/json", "X-MEN-Signature": made.signature}
    try:
        plain = socket.create_connection((host, port), timeout=WITHIN)
        with context.wrap_socket(plain, server_hostname=host) as secure:
            status, text = _exchange(secure, host, "POST", AUTH_REQUESTS, headers, made.body)
    except OSError as error:
        yield _refused(error, guise)
        return
    yield _judge(status, text)


def _judge(status: int, text: str) -> Finding:
    if status == http.client.OK:
        return ok("auth request", "accepted: the device got its token")
    try:
        said = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        said = text[:200]
    found = _CODE.search(said)
    reason = Reason.with_code(found[1]) if found else None
    if reason is None:
        right = "`mtls-ambassador device why` on the gateway asks Mender, which does not tell devices"
        return fail("auth request", f"HTTP {status}: {said}", right)
    finding = warn if status == http.client.SERVICE_UNAVAILABLE else fail
    return finding("auth request", f"{reason.text} ({reason.code})", reason.hint)


def _exchange(
    secure: ssl.SSLSocket, host: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, str]:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with suppress(OSError):  # whoever is refused may find the way closed, and the reason in what came back
        secure.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    response = http.client.HTTPResponse(secure)
    try:
        response.begin()
        return response.status, response.read(LARGEST).decode(errors="replace")
    except http.client.HTTPException as error:
        raise ConnectionError(f"the gateway closed the connection ({type(error).__name__})") from error


def _identity(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f'--identity: must be JSON, such as {{"mac":"52:54:00:12:34:56"}}: {error}') from error
    if not isinstance(found, dict):
        raise UsageError("--identity: must be a JSON object")
    return found


def _key(guise: Guise) -> PrivateKey:
    path = guise.auth_key or guise.key or guise.certificate
    if path is None:
        raise UsageError("--identity: an auth request must be signed; give --key, or --auth-key")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AmbassadorError(f"{path}: holds no private key that can be read without a password") from error
    return key  # type: ignore[return-value]  # of a kind that `sign` takes, or it says so
