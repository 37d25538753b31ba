"""A device that says exactly what it is told to, byte for byte, for what well-behaved HTTP clients cannot say."""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PATIENCE = 20.0


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something another process does has come about."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - what it waits for sends no event
            await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP/1 answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON is what it is
        """The body read as JSON."""
        return json.loads(self.body)


def request(target: str, *headers: str, method: str = "GET", body: bytes = b"", version: str = "1.1") -> bytes:
    """One request that asks for the connection to be closed after it."""
    lines = [f"{method} {target} HTTP/{version}", "Host: gateway", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin1") + body


async def ask(port: int, context: ssl.SSLContext, data: bytes, *, host: str = "127.0.0.1") -> Answer:
    """Connect, send the bytes, read one answer to its end."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost")
        try:
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            length = parse(head).headers.get("content-length")
            return parse(head + await (reader.read() if length is None else reader.readexactly(int(length))))
        finally:
            writer.transport.abort()


async def talk(port: int, context: ssl.SSLContext, data: bytes) -> bytes:
    """Connect, send the bytes, and return all that comes back until the other side closes."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        try:
            writer.write(data)
            await writer.drain()
            return await reader.read()
        finally:
            writer.transport.abort()


def parse(raw: bytes) -> Answer:
    """Read one answer; a chunked body is joined."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return Answer(int(first.split()[1]), headers, body)


def _joined(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        out, body = out + rest[:length], rest[length + 2 :]
    return out
