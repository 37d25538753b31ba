"""What follows a WebSocket request that upstream did not accept never reaches upstream as a request of its own."""

import asyncio
from pathlib import Path

from support.client import PATIENCE
from support.gateway import STUB, Gateway
from support.pki import Pki

UPGRADE = (
    b"GET /api/devices/v1/deviceconnect/connect HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HIDDEN = b"GET /api/management/v2/devauth/devices HTTP/1.1\r\nHost: mender\r\n\r\n"
NO = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


async def test_bytes_after_a_refused_upgrade_are_no_request(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    seen: list[bytes] = []

    async def simple_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers 400 to each header block, and goes on reading, as a server does that knows no WebSocket."""
        try:
            while True:
                seen.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(NO)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            seen.append(getattr(error, "partial", b""))
        writer.close()

    server = await asyncio.start_server(simple_server, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Gateway.running(pki, f"http://127.0.0.1:{port}", command=STUB) as gateway:
        for pause in (0, 0.2):
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", gateway.port, ssl=context, server_hostname="localhost"
                )
                writer.write(UPGRADE)
                await asyncio.sleep(pause)
                writer.write(HIDDEN)
                answer = await reader.readuntil(b"\r\n\r\n")
                assert b" 400 " in answer.splitlines()[0]
                await reader.read()
                writer.transport.abort()
    assert seen
    assert not [block for block in seen if b"management" in block], seen
