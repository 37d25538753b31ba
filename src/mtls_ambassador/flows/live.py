"""What happens now, for whoever looks at it: a broadcast that never waits for a slow listener."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mtls_ambassador.model.errors import AmbassadorError

LISTENERS = 64
"""At once; each is a browser's open connection."""
BACKLOG = 256
"""Events kept for a listener that is slow; of more, the oldest are lost."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened; `fields` are ready for JSON and hold no secret."""

    kind: str
    """`refusal`, `decision`, `input`, `denial` or `tally`."""
    fields: dict[str, Any]


@dataclass(slots=True)
class Live:
    """Those who listen."""

    _queues: set[asyncio.Queue[Happening]] = field(default_factory=set)

    def publish(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - what JSON can hold
        """Tell everybody who listens."""
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(Happening(kind, fields))

    @contextmanager
    def listen(self) -> Iterator["asyncio.Queue[Happening]"]:
        """A queue of what happens during the block. Raises AmbassadorError when too many listen already."""
        if len(self._queues) >= LISTENERS:
            raise AmbassadorError(f"{LISTENERS} listen already")
        queue: asyncio.Queue[Happening] = asyncio.Queue(BACKLOG)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
