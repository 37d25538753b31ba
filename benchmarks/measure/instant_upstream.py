"""A Mender server that says yes at once, cheap enough never to be what is measured: `instant_upstream.py PORT`."""

import asyncio
import sys
from typing import cast

import uvloop

TOKEN = b"eyJhbGciOiJub25lIn0.eyJzdWIiOiIwMTIzNDU2Ny04OWFiLWNkZWYtMDEyMy00NTY3ODlhYmNkZWYifQ." + b"s" * 342
JWT = b"HTTP/1.1 200 OK\r\nContent-Type: application/jwt\r\nContent-Length: %d\r\n\r\n%s" % (len(TOKEN), TOKEN)
CREATED = (
    b"HTTP/1.1 201 Created\r\nLocation: /api/management/v2/devauth/devices/01234567-89ab-cdef-0123-456789abcdef\r\n"
    b"Content-Length: 0\r\n\r\n"
)
BIG = bytes(100_000_000)
"""What is downloaded at a path that ends in `/big`; sent as it lies, never copied."""
BIG_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(BIG)


class Yes(asyncio.Protocol):
    """One connection: reads requests by their Content-Length, answers each at once."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            _, found, value = head.partition(b"content-length:")
            size = end + 4 + (int(value.split(b"\r\n", 1)[0]) if found else 0)
            if len(self._buffer) < size:
                return
            self._buffer = self._buffer[size:]
            if self._transport:
                self._transport.writelines(_answer(head))


def _answer(head: bytes) -> list[bytes]:
    if head.startswith(b"post /api/management/v2/"):
        return [CREATED]
    return [BIG_HEAD, BIG] if head.split(b" ", 2)[1].endswith(b"/big") else [JWT]


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Yes, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
