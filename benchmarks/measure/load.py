"""Sends prepared requests over some keep-alive connections to a Unix socket, each as soon as the last is answered."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast


@dataclass(slots=True)
class Load:
    """What came of one round."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    """Seconds from a request's first byte sent to its answer's last byte."""
    statuses: Counter[int] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        """The wait that this share of the requests did not exceed."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection(asyncio.Protocol):
    """Cheap on purpose: the measured program must be the limit."""

    def __init__(self, requests: Iterator[bytes], load: Load) -> None:
        self._requests = requests
        self._load = load
        self._buffer = b""
        self._began = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        _, found, value = self._buffer[:end].lower().partition(b"content-length:")
        size = end + 4 + (int(value.split(b"\r\n", 1)[0]) if found else 0)
        if len(self._buffer) < size:
            return
        self._load.waits.append(time.perf_counter() - self._began)
        self._load.statuses[int(self._buffer[9:12])] += 1
        self._buffer = self._buffer[size:]
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the service closed the connection"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None or self._transport is None:
            self.done.set_result(None)
            if self._transport is not None:
                self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)


async def send(path: Path, requests: Sequence[bytes], connections: int) -> Load:
    """Send all requests over `connections` connections; raises RuntimeError unless every answer is 200."""
    load, waiting = Load(), iter(requests)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_unix_connection(lambda: _Connection(waiting, load), str(path)) for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in made))
    load.seconds = time.perf_counter() - began
    if set(load.statuses) != {200}:
        raise RuntimeError(f"not every auth request was answered 200: {dict(load.statuses)}")
    return load
