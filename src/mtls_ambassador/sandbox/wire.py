"""The shape of Mender's HTTP answers: errors, JSON bodies, paging (mender-server `pkg/rest.utils`)."""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from mtls_ambassador.sandbox.journal import Entry

REQUEST_ID = web.RequestKey("request_id", str)
ENTRY = web.RequestKey("entry", Entry)

MAX_BODY = 1_048_576
PER_PAGE, MAX_PER_PAGE = 20, 500
MAX_DIGITS = 18
"""Of a whole number that Go reads as 64 bits."""

T = TypeVar("T")


class ApiError(Exception):
    """An answer in Mender's error shape; an empty text means an empty body."""

    def __init__(self, status: int, text: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})

    def response(self, request_id: str) -> web.Response:
        """The answer to give."""
        if not self.text:
            return web.Response(status=self.status, headers=self.headers)
        body = json_bytes({"error": self.text, "request_id": request_id})
        return web.Response(status=self.status, body=body, headers=self.headers, content_type="application/json")


def json_bytes(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(
        status=status, body=json_bytes(value), content_type="application/json", charset="utf-8", headers=headers
    )


async def read_body(request: web.Request) -> bytes:
    """The whole body, at most 1 MiB (413 above), noted in the journal."""
    if (request.content_length or 0) > MAX_BODY:
        raise ApiError(413, "http: request body too large")
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, "http: request body too large") from None
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise ApiError(400, "malformed request body") from error
    request[ENTRY].take_body(body)
    return body


async def read_json_body(request: web.Request) -> bytes:
    """The body of a JSON call: content type as Mender's middleware `contenttype` demands it."""
    body = await read_body(request)
    if body:
        if "Content-Type" not in request.headers:
            raise ApiError(400, "Invalid value for Content-Type header: mime: no media type")
        if request.content_type != "application/json":
            raise ApiError(415, "Bad Content-Type, expected 'application/json'")
    return body


def parse_object(body: bytes, what: str) -> dict[str, object]:
    """A JSON object, else 400 with `what` before the reason."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"{what}: {error}") from None
    if not isinstance(value, dict):
        raise ApiError(400, f"{what}: json: cannot unmarshal into an object")
    return value


def text_field(value: Mapping[str, object], name: str, what: str) -> str:
    """A member that is a string; absent or null is "" as in Go."""
    text = value.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ApiError(400, f"{what}: json: cannot unmarshal field {name} of type string")
    return text


def timestamp(moment: dt.datetime) -> str:
    """RFC 3339 in UTC, as Go writes it."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def page_response(request: web.Request, items: list[T], to_json: Callable[[T], object]) -> web.Response:
    """One page of a sorted list with `Link` headers first, prev, next: relative URLs, one header each."""
    page, per_page = _positive(request, "page", 1), _positive(request, "per_page", PER_PAGE)
    if per_page > MAX_PER_PAGE:
        raise ApiError(400, f'parameter "per_page" above limit (max: {MAX_PER_PAGE})')
    start = (page - 1) * per_page
    response = json_response([to_json(item) for item in items[start : start + per_page]])
    links = [("first", 1)]
    if page > 1:
        links.append(("prev", page - 1))
    if len(items) > start + per_page:
        links.append(("next", page + 1))
    for rel, number in links:
        response.headers.add("Link", f'<{_page_url(request, number, per_page)}>; rel="{rel}"')
    return response


def _positive(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > MAX_DIGITS:
        raise ApiError(400, f'invalid {name} query: "{text}"')
    if int(text) < 1:
        raise ApiError(400, f"invalid {name} query: value must be a non-zero positive integer")
    return int(text)


def _page_url(request: web.Request, page: int, per_page: int) -> str:
    """Sorted by name, as Go's `url.Values.Encode` does."""
    pairs = [(key, value) for key, value in request.query.items() if key not in {"page", "per_page"}]
    pairs += [("page", str(page)), ("per_page", str(per_page))]
    return f"{request.path}?{urlencode(sorted(pairs, key=lambda pair: pair[0]))}"
