"""One HTTP call to the Mender server: connection pool, TLS, time limit, and failures mapped to reasons."""

import datetime as dt
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from uuid import uuid4

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from mtls_ambassador.mender.calls import name_of, template_of
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.model.traces import NO_TRACES, Traces
from mtls_ambassador.settings import Settings

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer the gateway will hold; a page of 500 devices has about one."""
REQUEST_ID_HEADER = "X-MEN-RequestID"
"""By which Mender's log and ours are joined."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Mender's answer, whole."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class Transport:
    """Calls to one Mender server over a keep-alive pool. Raises RefusedError with an UPSTREAM_* reason."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings, traces: Traces) -> None:
        self._session = session
        self._traces = traces
        self._host = settings.upstream.host
        self._base = str(settings.upstream)
        self._tls = _tls(settings)
        self.on_call: Callable[[str, str, float], None] = lambda _call, _outcome, _seconds: None
        """Told of each call that is over: its name, `2xx` and the like or the reason's code, and seconds."""
        self.on_own_call: Callable[[str, str, str], None] = lambda _call, _outcome, _request_id: None
        """Told of each that no device's call led to, or that serves all devices as the login does; of no other line of
        a log could its request id be learnt."""

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, traces: Traces = NO_TRACES) -> AsyncIterator["Transport"]:
        """A transport for `settings.upstream`, closed at the end of the block."""
        limits = settings.limits
        connector = aiohttp.TCPConnector(limit=limits.enrol_concurrency, ttl_dns_cache=30, keepalive_timeout=30)
        timeout = aiohttp.ClientTimeout(total=limits.upstream_timeout, sock_connect=limits.upstream_connect_timeout)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as session:
            yield cls(session, settings, traces)

    def renew(self, settings: Settings) -> None:
        """Check the Mender server's certificate anew from now on. Raises AmbassadorError when the CA cannot be read."""
        self._tls = _tls(settings)

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | CIMultiDict[str], body: bytes | None = None
    ) -> Answer:
        """One call; redirects are not followed, so that no credential goes to another host.

        It carries the request id it is given, or one of its own.
        """
        sent = CIMultiDict(headers)
        is_own = not sent.get(REQUEST_ID_HEADER)
        if is_own:
            sent[REQUEST_ID_HEADER] = str(uuid4())
        began, outcome = time.monotonic(), "given-up"
        try:
            answer = await self._traced(method, path, sent, body)
            outcome = f"{answer.status // 100}xx"
        except RefusedError as error:
            outcome = error.reason.code
            raise
        else:
            return answer
        finally:
            name = name_of(method, path)
            self.on_call(name, outcome, time.monotonic() - began)
            if is_own:
                self.on_own_call(name, outcome, sent[REQUEST_ID_HEADER])

    async def _traced(self, method: str, path: str, headers: CIMultiDict[str], body: bytes | None) -> Answer:
        template = template_of(method, path)
        facts = {"http.request.method": method, "url.template": template, "server.address": self._host}
        with self._traces.of_ours(f"{method} {template}", facts) as span:
            headers.update(span.headers)
            try:
                answer = await self._call(method, path, headers, body)
            except RefusedError as error:
                span.fail(error.reason.code)
                raise
            span.note({"http.response.status_code": answer.status})
            return answer

    async def _call(self, method: str, path: str, headers: CIMultiDict[str], body: bytes | None) -> Answer:
        try:
            try:
                return await self._exchange(method, path, headers, body)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError):
                # Upstream closed a kept connection just as it was used again. Every call made here may come twice:
                # Mender answers a repeated auth request with another token and a repeated preauthorization with 409.
                return await self._exchange(method, path, headers, body)
        except aiohttp.ClientConnectorCertificateError as error:
            raise RefusedError(Reason.UPSTREAM_UNTRUSTED, str(error.certificate_error)) from error
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ClientConnectionResetError,
            aiohttp.ServerDisconnectedError,
        ) as error:
            raise RefusedError(Reason.UPSTREAM_UNREACHABLE, str(error)) from error
        except TimeoutError as error:
            raise RefusedError(Reason.UPSTREAM_SLOW) from error
        except (aiohttp.ClientError, OSError) as error:
            raise RefusedError(Reason.UPSTREAM_UNREACHABLE, f"{type(error).__name__}: {error}") from error

    async def _exchange(self, method: str, path: str, headers: CIMultiDict[str], body: bytes | None) -> Answer:
        async with self._session.request(
            method, self._base + path, headers=headers, data=body, allow_redirects=False, ssl=self._tls
        ) as response:
            return Answer(response.status, response.headers, await _read(response))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise RefusedError(Reason.UPSTREAM_FAILED, f"an answer of more than {MAX_ANSWER} bytes")
    return bytes(body)


def _tls(settings: Settings) -> ssl.SSLContext | bool:
    """Verified against the system's trust store or the given CA; not at all only when the setting says so."""
    if not settings.upstream.is_tls:
        return True
    try:
        context = ssl.create_default_context(cafile=settings.upstream_ca)
    except (OSError, ssl.SSLError) as error:
        raise AmbassadorError(f"MTLS_MENDER_CERT: {settings.upstream_ca} holds no readable PEM certificate") from error
    # Python 3.13 made this flag a default; private CAs in the field lack the extensions it asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.upstream_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def raise_for_trouble(answer: Answer, doing: str) -> None:
    """Raise RefusedError when the answer means "later": 429 and 5xx, with upstream's own Retry-After."""
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RefusedError(Reason.UPSTREAM_THROTTLED, doing, retry_after=retry_after(answer))
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RefusedError(Reason.UPSTREAM_FAILED, f"{doing}: HTTP {answer.status}", retry_after=retry_after(answer))


def retry_after(answer: Answer) -> float | None:
    """Seconds from Retry-After in either of its forms (RFC 9110 section 10.2.3); None when absent or unreadable."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(answer.headers["Date"])
        return max((until - now) / dt.timedelta(seconds=1), 0)
    except (ValueError, KeyError, TypeError):
        return None
