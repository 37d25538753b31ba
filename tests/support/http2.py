"""HTTP/2 as no library would say it: frames by hand (RFC 9113), headers written out literally (RFC 7541)."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from support.client import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEAD = 9
Fields = Iterable[tuple[str, str]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(fields: Fields) -> bytes:
    """A header block, each field a literal without indexing and without Huffman coding: any byte can be in it."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    raw = text.encode("latin1")
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, size = len(raw) - 127, b"\x7f"
    while rest >= 128:
        rest, size = rest >> 7, size + bytes([rest & 127 | 128])
    return size + bytes([rest]) + raw


def headers(fields: Fields, *, ends: bool = True, stream: int = 1) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block(fields))


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Http2:
    """A connection on which both sides have sent their settings."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int, context: ssl.SSLContext) -> AsyncIterator["Http2"]:
        """Connect; the context must offer `h2` by ALPN."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        try:
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            writer.write(PREFACE + frame(SETTINGS, 0, 0))
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def until_over(self, stream: int = 1) -> list[Frame]:
        """What came until this stream, or the connection, was ended."""
        found: list[Frame] = []
        async with asyncio.timeout(PATIENCE):
            try:
                while not found or not _ends(found[-1], stream):
                    head = await self.reader.readexactly(HEAD)
                    size = int.from_bytes(head[:3], "big")
                    kind, flags, number = struct.unpack(">BBI", head[3:])
                    found.append(Frame(kind, flags, number, await self.reader.readexactly(size)))
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # ended without a word
        return found


def _ends(seen: Frame, stream: int) -> bool:
    if seen.kind in {DATA, HEADERS} and seen.flags & END_STREAM:
        return seen.stream == stream
    return seen.kind == GOAWAY or (seen.kind == RST_STREAM and seen.stream == stream)
