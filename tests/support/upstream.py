"""A server where Mender would be, for tests of the data plane: it records what reaches it and plays every part."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

BLOCK = bytes(range(256)) * 256


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request as it came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    size: int
    sha256: str

    def values(self, name: str) -> list[str]:
        """All values of a header, name in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(slots=True)
class Upstream:
    """What came, and how it answers: `blob?bytes=N` streams, `ws` echoes, `slow` waits for `release`, others say ok."""

    port: int = 0
    requests: list[Arrived] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def running(cls, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator["Upstream"]:
        """Listen on 127.0.0.1, on a free port unless told."""
        upstream = cls()
        app = web.Application(client_max_size=2**40)
        app.router.add_route("*", "/{path:.*}", upstream.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        upstream.port = int(runner.addresses[0][1])
        try:
            yield upstream
        finally:
            upstream.release.set()
            await runner.cleanup()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Record the request, body hashed as it streams in, then play the part its path asks for."""
        websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        size, digest = (0, "") if websocket else await _hashed(request)
        headers = tuple((key.decode("latin1"), value.decode("latin1")) for key, value in request.raw_headers)
        self.requests.append(Arrived(request.method, request.raw_path, headers, size, digest))
        match request.path.rsplit("/", 1)[-1]:
            case "ws" if websocket:
                return await _echo(request)
            case "blob":
                return await _blob(request)
            case "slow":
                await self.release.wait()
        return web.json_response({"bytes": size, "sha256": digest}, headers={"Server": "upstream"})


async def _hashed(request: web.Request) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    async for block in request.content.iter_chunked(2**16):
        size += len(block)
        digest.update(block)
    return size, digest.hexdigest()


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=["protomsg/msgpack"])
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def _blob(request: web.Request) -> web.StreamResponse:
    total = int(request.query["bytes"])
    wanted = request.http_range
    start = wanted.start or 0
    response = web.StreamResponse(status=206 if "Range" in request.headers else 200)
    if response.status == web.HTTPPartialContent.status_code:
        response.headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
    response.content_length = total - start
    await response.prepare(request)
    position = start
    while position < total:
        offset = position % len(BLOCK)
        block = BLOCK[offset : offset + total - position]
        await response.write(block)
        position += len(block)
    return response
