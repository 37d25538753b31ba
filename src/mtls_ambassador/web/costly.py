"""Answers of the store that take long at a million devices, kept for a short while."""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from mtls_ambassador.store.database import Database

T = TypeVar("T")
SHARE = 0.02
"""Of the time at most is spent on one question: an answer that took 0.1 s is kept for 5 s, one of 1 ms for 0.05 s."""
MOST = 64
"""Questions remembered."""


@dataclass(slots=True)
class Costly:
    """Remembers answers by a key that says all of the question. Raises what the store raises; that is not kept."""

    database: Database
    _kept: dict[Hashable, tuple[float, Any]] = field(default_factory=dict)
    _locks: dict[Hashable, asyncio.Lock] = field(default_factory=dict)

    async def read(self, key: Hashable, work: Callable[[sa.Connection], T]) -> T:
        """What `work` reads, now or a moment ago; asked once for many who ask at the same time."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            kept: tuple[float, T] | None = self._kept.get(key)
            if kept is not None and time.monotonic() < kept[0]:
                return kept[1]
            began = time.monotonic()
            found = await self.database.read(work)
            ended = time.monotonic()
            self._kept.pop(key, None)
            self._kept[key] = ended + (ended - began) / SHARE, found
            self._forget()
            return found

    def _forget(self) -> None:
        while len(self._kept) > MOST:
            self._kept.pop(next(iter(self._kept)))
        for key in [key for key, lock in self._locks.items() if key not in self._kept and not lock.locked()]:
            del self._locks[key]
