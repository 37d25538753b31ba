"""Hundreds of clients that open and say nothing, drip, or do not read are ended or wait alone: good devices go on."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.client import PATIENCE
from support.gateway import STUB, Gateway
from support.http2 import HEADERS, PING, RST_STREAM, SETTINGS, Http2, block, frame, headers
from support.pki import Pki
from support.revocation import Traffic
from support.upstream import Upstream

SHORT = {"MTLS_HANDSHAKE_TIMEOUT": "2", "MTLS_HEADER_TIMEOUT": "2", "MTLS_IDLE_TIMEOUT": "2"}
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
HEAD = b"GET /api/devices/v1/x HTTP/1.1\r\nHost: gateway\r\n"
BODY = b"POST /api/devices/v1/x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\n"
LARGE = b"GET /api/devices/v1/blob?bytes=300000000 HTTP/1.1\r\nHost: gateway\r\n\r\n"
FLOOD, SLOW, READERS = 300, 60, 15
CALLS = 40
"""Good calls that must have gone through meanwhile."""


def abort(writer: asyncio.StreamWriter) -> None:
    """Leave at once; until then this keeps the writer, whose end would end the connection."""
    writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Scene:
    port: int
    upstream: Upstream
    traffic: Traffic
    attacker: ssl.SSLContext
    stack: AsyncExitStack

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator["Scene"]:
        """Good devices call all the while; not one of their calls may fail."""
        pki = Pki(folder)
        good = [pki.client_context(pki.device(f"good-{number}")) for number in range(2)]
        attacker = pki.client_context(pki.device("attacker"))
        async with (
            Upstream.running() as upstream,
            Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=SHORT) as gateway,
            Traffic.of(gateway, good) as traffic,
            AsyncExitStack() as stack,
        ):
            yield cls(gateway.port, upstream, traffic, attacker, stack)
            async with asyncio.timeout(PATIENCE):
                while traffic.calls < CALLS:  # noqa: ASYNC110 - what it waits for sends no event
                    await asyncio.sleep(0.05)
            assert traffic.failed == []

    async def open(self, first: bytes, context: ssl.SSLContext | None) -> "Client":
        name = "localhost" if context else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name)
        self.stack.callback(abort, writer)
        writer.write(first)
        return Client(reader, writer)

    async def many(self, count: int, first: bytes, context: ssl.SSLContext | None) -> list["Client"]:
        return await asyncio.gather(*(self.open(first, context) for _ in range(count)))


@dataclass(frozen=True, slots=True)
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def until_ended(self, drip: bytes = b"") -> None:
        """Wait until the other side closes, sending a byte of `drip` now and then."""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError, ssl.SSLError):
                for number in range(10_000):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await self.reader.read()
                            return
                    self.writer.write(drip[number % len(drip) :][:1] if drip else b"")


async def test_half_open_handshakes_are_ended(tmp_path: Path) -> None:
    async with Scene.running(tmp_path) as scene:
        for first in (b"", HALF_A_HELLO):
            clients = await scene.many(FLOOD, first, None)
            await asyncio.gather(*(client.until_ended() for client in clients))


async def test_headers_that_drip_are_ended(tmp_path: Path) -> None:
    async with Scene.running(tmp_path) as scene:
        clients = await scene.many(SLOW, HEAD, scene.attacker)
        await asyncio.gather(*(client.until_ended(b"X-A: b\r\n") for client in clients))


async def test_bodies_that_drip_and_answers_not_read_hold_nobody(tmp_path: Path) -> None:
    async with Scene.running(tmp_path) as scene:
        await scene.many(SLOW, BODY, scene.attacker)
        readers = await scene.many(READERS, LARGE, scene.attacker)
        for client in readers:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket's transport
        calls = scene.traffic.calls
        async with asyncio.timeout(PATIENCE):
            while scene.traffic.calls < calls + CALLS:  # noqa: ASYNC110 - what it waits for sends no event
                await asyncio.sleep(0.05)
        assert sum(each.target.startswith("/api/devices/v1/blob") for each in scene.upstream.requests) == READERS


FIELDS = [(":method", "GET"), (":scheme", "https"), (":authority", "gateway"), (":path", "/api/devices/v1/slow")]
RESET = b"\0\0\0\x08"
FLOODS: dict[str, Callable[[int], bytes]] = {
    "streams opened and reset": lambda n: headers(FIELDS, stream=2 * n + 1) + frame(RST_STREAM, 0, 2 * n + 1, RESET),
    "settings": lambda _: frame(SETTINGS, 0, 0),
    "pings": lambda _: frame(PING, 0, 0, bytes(8)),
    "empty continuations": lambda n: frame(9, 0, 1) if n else frame(HEADERS, 1, 1, block(FIELDS)),
    "headers without end": lambda n: (
        frame(9, 0, 1, block([("x", "y" * 8000)])) if n else frame(HEADERS, 1, 1, block(FIELDS))
    ),
    "empty data": lambda n: frame(0, 0, 1) if n else headers(FIELDS, ends=False),
}
FRAMES = 8_000


async def test_floods_of_http2_end_their_own_connection(tmp_path: Path) -> None:
    async with Scene.running(tmp_path) as scene:
        scene.attacker.set_alpn_protocols(["h2"])

        async def flood(make: Callable[[int], bytes]) -> None:
            async with Http2.to(scene.port, scene.attacker) as connection:
                with suppress(ConnectionError, ssl.SSLError):
                    for number in range(FRAMES):
                        connection.writer.write(make(number))
                        if number % 100 == 0:
                            await connection.writer.drain()
                async with asyncio.timeout(PATIENCE):
                    with suppress(ConnectionError, ssl.SSLError):
                        while await connection.reader.read(2**16):
                            pass

        await asyncio.gather(*(flood(make) for make in FLOODS.values()))
        slow = [each for each in scene.upstream.requests if each.target.endswith("/slow")]
        assert len(slow) < FRAMES / 10
