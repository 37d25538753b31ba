"""One at a time per name, and not too many in line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mtls_ambassador.model.reason import Reason, RefusedError

MAX_WAITING = 16
"""In line for one name; a device has one auth request at a time, so more is an attack or a fault."""


class KeyedLock:
    """Locks by name, made when needed and dropped when nobody waits."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Hold the lock of `name` for the block. Raises RefusedError OVERLOADED when the line is too long."""
        lock, users = self._held.get(name, (asyncio.Lock(), 0))
        if users > MAX_WAITING:
            raise RefusedError(Reason.OVERLOADED, "too many auth requests of one device at once")
        self._held[name] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._held[name]
            if users == 1:
                del self._held[name]
            else:
                self._held[name] = (lock, users - 1)


class Gate:
    """At most `places` inside, at most `queue` waiting outside."""

    def __init__(self, places: int, queue: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._queue = queue
        self.waiting = 0

    @asynccontextmanager
    async def pass_through(self) -> AsyncIterator[None]:
        """Take a place for the block. Raises RefusedError OVERLOADED when too many wait already."""
        if self.waiting >= self._queue:
            raise RefusedError(Reason.OVERLOADED)
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._places.release()
