"""The decision endpoint: what Envoy sends here instead of upstream, on a Unix socket only Envoy can reach."""

import math
import random
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from multidict import CIMultiDict

from mtls_ambassador.envoy.routes import CERTIFICATE_HEADER
from mtls_ambassador.flows.enrol_device import AuthCall, EnrolDevice, Outcome
from mtls_ambassador.mender.client import AUTH_REQUESTS_PATH
from mtls_ambassador.mender.messages import MAX_BODY
from mtls_ambassador.mender.transport import REQUEST_ID_HEADER
from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.model.traces import NO_TRACES, Span, Traces
from mtls_ambassador.web.metrics import Metrics

RETRY_AFTER = (5.0, 30.0)
"""Seconds a device is told to wait, drawn anew for each, so that a fleet does not come back as one."""
LONGEST_WAIT = 3600.0
"""Seconds; an upstream that names a longer time is not believed, or one wrong header would keep a fleet away."""

# RFC 9110 section 7.6.1; Host and Content-Length are written anew by the HTTP client.
_HOP_BY_HOP = {
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_OURS = ("x-mtls-", "x-envoy-")
_OF_USE = range(1, 257)
"""Characters of a proxy header. Host and request id are the device's own words: long ones would fail calls of ours."""
_PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", REQUEST_ID_HEADER)


def make_app(enrol: EnrolDevice, metrics: Metrics, traces: Traces = NO_TRACES) -> web.Application:
    """The application behind Envoy's `decision` cluster; every other path and method is refused here."""
    app = web.Application()

    async def auth_request(request: web.Request) -> web.Response:
        with metrics.in_progress.track_inprogress(), traces.of_device("auth request", request.headers) as span:
            call = await _read_call(request)
            outcome = await enrol(call)
            _note(span, call, outcome)
        metrics.decisions.labels(outcome.reason.code).inc()
        return _respond(outcome, request.headers.get(REQUEST_ID_HEADER, ""))

    app.router.add_post(AUTH_REQUESTS_PATH, auth_request)
    app.router.add_route("*", "/{path:.*}", _refuse_other)
    return app


def _note(span: Span, call: AuthCall, outcome: Outcome) -> None:
    """What the log says too, without the device's name, certificate and address."""
    reason = outcome.reason
    span.note(
        {
            "mender.request_id": call.request_id,
            "mtls_ambassador.reason": reason.code,
            "mtls_ambassador.verdict": reason.verdict.value,
            "mtls_ambassador.known": reason is Reason.KNOWN,
        }
    )
    if reason.verdict is not Verdict.GRANTED:
        span.fail(reason.code)


async def _read_call(request: web.Request) -> AuthCall:
    headers = _readable(request.headers)
    return AuthCall(
        body=await _read_body(request),
        signature=headers.get("X-MEN-Signature"),
        certificate_header=headers.get(CERTIFICATE_HEADER, ""),
        headers=_end_to_end(headers),
        proxy_headers={name: value for name in _PROXY_HEADERS if len(value := headers.get(name, "")) in _OF_USE},
        address=headers.get("X-Forwarded-For", ""),
        request_id=headers.get(REQUEST_ID_HEADER, "")[: _OF_USE.stop],
    )


def _readable(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers with what is no UTF-8 replaced: neither the HTTP client nor the store could take such a byte."""
    texts = CIMultiDict[str]()
    for name, value in headers.items():
        texts.add(name, value if value.isascii() else value.encode(errors="surrogateescape").decode(errors="replace"))
    return texts


async def _read_body(request: web.Request) -> bytes:
    """The body, or its first part when it is longer than the rule allows: the rule then refuses it by its length."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            break
    return bytes(body)


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    kept = CIMultiDict[str]()
    for name, value in headers.items():
        lower = name.lower()
        if lower not in _HOP_BY_HOP and not lower.startswith(_OURS):
            kept.add(name, value)
    return kept


def _respond(outcome: Outcome, request_id: str) -> web.Response:
    """Mender's own answer where there is one; else Mender's error shape, with the reason's code to look up."""
    if outcome.answer is not None:
        headers = _end_to_end(outcome.answer.headers)
        return web.Response(status=outcome.answer.status, body=outcome.answer.body, headers=headers)
    headers = CIMultiDict[str]()
    if outcome.reason.verdict is Verdict.LATER:
        low, high = RETRY_AFTER
        wait = outcome.retry_after or random.uniform(low, high)  # noqa: S311 - spreads load, hides nothing
        wait = min(wait, LONGEST_WAIT)
        headers["Retry-After"] = str(math.ceil(wait))
    return _error(outcome.status, _text(outcome), request_id, headers)


def _text(outcome: Outcome) -> str:
    """What the device may know: of its own request the cause, of the gateway's other affairs the code alone."""
    match outcome.reason:
        case Reason.MALFORMED | Reason.TOO_LARGE:
            return f"invalid auth request: {outcome.detail or outcome.reason.text}"
        case Reason.SIGNATURE_MISSING:
            return "missing request signature header"
        case Reason.SIGNATURE_WRONG:
            return "signature verification failed"
        case reason if reason.verdict is Verdict.LATER:
            return f"service unavailable ({reason.code})"
        case reason:
            return f"dev auth: unauthorized ({reason.code})"


async def _refuse_other(request: web.Request) -> web.Response:
    """Fails closed: only the one call this service is for gets through it."""
    request_id = request.headers.get(REQUEST_ID_HEADER, "")
    if request.path == AUTH_REQUESTS_PATH:
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", request_id)
    return _error(HTTPStatus.NOT_FOUND, "not found", request_id)


def _error(status: int, text: str, request_id: str, headers: CIMultiDict[str] | None = None) -> web.Response:
    return web.json_response({"error": text, "request_id": request_id}, status=status, headers=headers)
