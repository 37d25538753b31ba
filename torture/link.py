"""The way to upstream, which can be cut, stopped, slowed down and led elsewhere."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from support.ports import free_port

PIECE = 65_536
WAITING = 4
"""Connections that fill the queue of a socket whose owner does not accept."""


class Link:
    """Listens on a port of its own and passes bytes on to another one."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        """Where new connections lead."""
        self.delay = 0.0
        """Seconds by which every piece of an answer comes later."""
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_resetting = False
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, target: int) -> AsyncIterator["Link"]:
        """A link to a port of this machine."""
        link = cls(target)
        await link.up()
        try:
            yield link
        finally:
            await link.down()

    async def up(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port, backlog=1024)

    async def down(self) -> None:
        """End every connection, and refuse new ones."""
        server, self._server = self._server, None
        if server:
            server.close()
        self.cut()
        self._flows.set()
        if server:
            await server.wait_closed()

    def cut(self) -> None:
        """End every connection that is open, with RST."""
        for writer in list(self._open):
            _reset(writer)

    @asynccontextmanager
    async def black_hole(self) -> AsyncIterator[None]:
        """Accept everything and answer nothing; what was open is silent too."""
        self._flows.clear()
        try:
            yield
        finally:
            self.cut()
            self._flows.set()

    @asynccontextmanager
    async def deaf(self) -> AsyncIterator[None]:
        """Listen without accepting: a connection is never finished, and never refused."""
        await self.down()
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(0)
            waiting = [socket.socket() for _ in range(WAITING)]
            try:
                for each in waiting:
                    each.setblocking(False)  # noqa: FBT003 - its only way
                    each.connect_ex(("127.0.0.1", self.port))
                yield
            finally:
                for each in waiting:
                    each.close()
        await self.up()

    @asynccontextmanager
    async def resetting(self) -> AsyncIterator[None]:
        """Reset every connection once something was sent on it."""
        self.cut()
        self._is_resetting = True
        try:
            yield
        finally:
            self._is_resetting = False

    @asynccontextmanager
    async def leading_to(self, target: int) -> AsyncIterator[None]:
        """Lead to another server."""
        self.target, before = target, self.target
        self.cut()
        try:
            yield
        finally:
            self.target = before
            self.cut()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_resetting:
            await reader.read(PIECE)
            _reset(writer)
            return
        try:
            onward, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back, 0), self._pump(onward, writer, None))
        finally:
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float | None) -> None:
        with suppress(OSError):
            while data := await reader.read(PIECE):
                await self._flows.wait()
                await asyncio.sleep(self.delay if delay is None else delay)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: linger of zero seconds (POSIX `SO_LINGER`)."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
