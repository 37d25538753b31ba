"""Links that carry their own proof, as Mender presigns artifact downloads (deployments `model/signature.go`)."""

import hashlib
import hmac
import time
from urllib.parse import urlencode

from aiohttp import web

from mtls_ambassador.sandbox.state import STATE
from mtls_ambassador.sandbox.wire import ApiError

LIFETIME = 86_400
"""Seconds a link is good for: a day, as Mender's default."""


def download_base(request: web.Request) -> str:
    """Scheme, host and port for a link.

    Set in the configuration, or else what the device used: a gateway in front says so in `X-Forwarded-Proto` and
    `X-Forwarded-Host`. Mender does the same for links on its own host (`api_deployments.go`), and it is what lets a
    demo's downloads go through the gateway although no link is rewritten.
    """
    configured = request.app[STATE].config.download_base
    if configured:
        return configured.rstrip("/")
    scheme = request.headers.get("X-Forwarded-Proto") or request.scheme
    host = request.headers.get("X-Forwarded-Host") or request.host
    return f"{scheme.split(',')[0].strip()}://{host.split(',')[0].strip()}"


def sign_path(secret: bytes, path: str, expires: int) -> str:
    """Path and query of a link that is good until `expires` (Unix seconds); the host is not part of the proof."""
    query = urlencode({"x-men-expire": str(expires), "x-men-signature": _signature(secret, path, str(expires))})
    return f"{path}?{query}"


def check_link(request: web.Request) -> None:
    """Fails closed: 400 without proof, 403 for one that is out of date or wrong."""
    expires, signature = request.query.get("x-men-expire", ""), request.query.get("x-men-signature", "")
    if not expires.isdecimal() or not signature:
        raise ApiError(400, "invalid request parameters")
    right = _signature(request.app[STATE].secret, request.path, expires)
    if not hmac.compare_digest(right.encode(), signature.encode()):
        raise ApiError(403, "signature invalid")
    if int(expires) <= time.time():
        raise ApiError(403, "URL expired")


def _signature(secret: bytes, path: str, expires: str) -> str:
    return hmac.new(secret, f"GET\n{path}\n{expires}".encode(), hashlib.sha256).hexdigest()
