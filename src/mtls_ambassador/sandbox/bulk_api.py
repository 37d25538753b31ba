"""Large bodies for tests; Mender has nothing like it. Both need a device token.

`PUT` or `POST /api/devices/v1/sandbox/echo` counts and hashes what comes; `GET /api/devices/v1/sandbox/blob?bytes=N`
sends N known bytes and honours `Range`. Nothing is held in memory.
"""

import hashlib
from collections.abc import Iterator
from functools import cache

from aiohttp import web

from mtls_ambassador.sandbox.wire import ENTRY, ApiError, json_response

BASE = "/api/devices/v1/sandbox"
CHUNK = 262_144
PERIOD = 1_048_573
"""Length of the pattern: a prime, so that a shifted or repeated piece shows."""


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [web.put(f"{BASE}/echo", echo), web.post(f"{BASE}/echo", echo), web.get(f"{BASE}/blob", blob)]


def blob_chunks(start: int, stop: int) -> Iterator[bytes]:
    """Bytes `start` to `stop` (not included) of the endless blob, in pieces of at most 256 KiB."""
    pattern = _pattern()
    while start < stop:
        offset = start % PERIOD
        piece = pattern[offset : offset + min(CHUNK, stop - start)]
        yield piece
        start += len(piece)


@cache
def _pattern() -> bytes:
    return hashlib.shake_128(b"mtls-ambassador sandbox").digest(PERIOD)


async def echo(request: web.Request) -> web.Response:
    """How many bytes came and their SHA-256."""
    digest, size = hashlib.sha256(), 0
    async for chunk in request.content.iter_any():
        digest.update(chunk)
        size += len(chunk)
    entry = request[ENTRY]
    entry.body_size, entry.body_sha256 = size, digest.hexdigest()
    return json_response({"bytes": size, "sha256": digest.hexdigest()})


async def blob(request: web.Request) -> web.StreamResponse:
    """N bytes of the blob, or the range asked for (RFC 9110 section 14; one range only)."""
    text = request.query.get("bytes", "")
    if not text.isdecimal():
        raise ApiError(400, "bytes: how many, as a whole number")
    total = int(text)
    start, stop, partial = _range(request, total)
    response = web.StreamResponse(status=206 if partial else 200)
    response.content_type = "application/octet-stream"
    response.content_length = stop - start
    response.headers["Accept-Ranges"] = "bytes"
    if partial:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
    await response.prepare(request)
    for chunk in blob_chunks(start, stop):
        await response.write(chunk)
    await response.write_eof()
    return response


def _range(request: web.Request, total: int) -> tuple[int, int, bool]:
    if "Range" not in request.headers:
        return 0, total, False
    refused = ApiError(416, "range not satisfiable", {"Content-Range": f"bytes */{total}"})
    try:
        asked = request.http_range
    except ValueError:
        raise refused from None
    start = asked.start if asked.start is not None else 0
    if start < 0:
        return max(0, total + start), total, True
    if start >= total:
        raise refused
    return start, min(total, asked.stop if asked.stop is not None else total), True
