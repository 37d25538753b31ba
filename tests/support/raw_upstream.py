"""An upstream that keeps every byte and takes HTTP/1.1 in its plainest form alone.

Servers disagree about all that is not plain: two lengths, a folded line, a chunk's extension. So what any lenient
server could read as two requests, this one tells as a fault; where it finds none, all servers read the same requests.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) (/[\x21-\x7e]*) HTTP/1\.1" % _TOKEN)
_HEADER = re.compile(rb"(%b): ([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_LENGTH = re.compile(rb"[0-9]{1,19}")
_CHUNK = re.compile(rb"[1-9a-f][0-9a-f]{0,7}")


class NotPlainError(Exception):
    """Bytes that two servers might read in two ways."""


@dataclass(frozen=True, slots=True)
class Plain:
    """One request."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


@dataclass(slots=True)
class RawUpstream:
    """What came on each connection, the requests read from it, and what could not be read."""

    port: int = 0
    connections: list[bytearray] = field(default_factory=list)
    requests: list[Plain] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["RawUpstream"]:
        """Listen on a free port; answers name the target they answer, so that one given to another is known."""
        upstream = cls()
        server = await asyncio.start_server(upstream._serve, "127.0.0.1", 0, limit=2**22)
        upstream.port = server.sockets[0].getsockname()[1]
        try:
            yield upstream
        finally:
            server.close()

    def forget(self) -> None:
        """Begin anew; connections stay open, for what lies in one is what the next device would meet."""
        self.requests.clear()
        self.faults.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = bytearray()
        self.connections.append(seen)
        try:
            while request := await _request(_Recorded(reader, seen)):
                self.requests.append(request)
                writer.write(answer(request))
                await writer.drain()
        except (NotPlainError, asyncio.LimitOverrunError) as error:
            self.faults.append(f"{error} in {bytes(seen[-2000:])!r}")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a request given up half-way is none
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def answer(request: Plain) -> bytes:
    """200, with method and target as the body."""
    body = f"{request.method} {request.target}".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@dataclass(frozen=True, slots=True)
class _Recorded:
    reader: asyncio.StreamReader
    seen: bytearray

    async def line(self) -> bytes:
        """A line without its end, which must be CR LF."""
        found = await self.reader.readuntil(b"\n")
        self.seen.extend(found)
        if not found.endswith(b"\r\n") or b"\r" in found[:-2] or b"\0" in found:
            raise NotPlainError("a line with another end than CR LF")
        return found[:-2]

    async def bytes(self, count: int) -> bytes:
        found = await self.reader.readexactly(count)
        self.seen.extend(found)
        return found


async def _request(stream: _Recorded) -> Plain | None:
    if stream.reader.at_eof():
        return None
    first = _REQUEST_LINE.fullmatch(await stream.line())
    if not first:
        raise NotPlainError("no request line")
    headers: list[tuple[str, str]] = []
    while line := await stream.line():
        if not (found := _HEADER.fullmatch(line)):
            raise NotPlainError("no header line")
        headers.append((found[1].decode().lower(), found[2].decode("latin1")))
    body = await _body(stream, headers)
    return Plain(first[1].decode(), first[2].decode(), tuple(headers), body)


async def _body(stream: _Recorded, headers: list[tuple[str, str]]) -> bytes:
    lengths = [value.encode() for name, value in headers if name == "content-length"]
    codings = [value for name, value in headers if name == "transfer-encoding"]
    if len(lengths) + len(codings) > 1 or [name for name, _ in headers].count("host") != 1:
        raise NotPlainError("two lengths, or not one host")
    if codings:
        if codings != ["chunked"]:
            raise NotPlainError("a transfer coding other than chunked")
        return await _chunks(stream)
    if not lengths:
        return b""
    if not _LENGTH.fullmatch(lengths[0]):
        raise NotPlainError("a length that is no plain number")
    return await stream.bytes(int(lengths[0]))


async def _chunks(stream: _Recorded) -> bytes:
    body = b""
    while (size := await stream.line()) != b"0":
        if not _CHUNK.fullmatch(size):
            raise NotPlainError("a chunk size that is no plain number")
        body += await stream.bytes(int(size, 16))
        if await stream.line():
            raise NotPlainError("a chunk longer than its size")
    if await stream.line():
        raise NotPlainError("a trailer")
    return body
