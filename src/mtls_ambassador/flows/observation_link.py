"""The supervisor's end of the way on which Envoy's lines reach the decision service. It waits for nobody.

Lines that the service does not take in time are counted, and so are those it took and had not written to the store
when it died; the count is told as soon as it takes lines again. Such a line may still stand in the store, when the
service died between the one and the other: rather too much is told than too little.
"""

import asyncio
import json
from collections import deque
from contextlib import suppress
from pathlib import Path

MOST = 20_000
"""Lines waiting."""
LARGEST = 32 * 1024 * 1024
"""Bytes of them."""
RETRY = 0.2
"""Seconds."""
MOST_RUNS = 1000
PORTION = 64 * 1024
"""Bytes of lines handed over at once: a call of the kernel for each line would cost more than all else here."""


class Unwritten:
    """What was handed over and does not stand in the store yet, by what each line stands for."""

    def __init__(self) -> None:
        self._runs: deque[list[int]] = deque()
        """Lines one after the other that stand for as much each: how many, and how much. Mostly one run of ones."""
        self._given_up = [0, 0]
        """Lines, and what they stand for, of which too many kinds came to remember them until they are written."""
        self._told = 0

    def add(self, weight: int, lines: int = 1) -> None:
        """More lines, each of which stands for so many."""
        if self._runs and self._runs[-1][1] == weight:
            self._runs[-1][0] += lines
        elif lines:
            self._runs.append([lines, weight])
        if len(self._runs) > MOST_RUNS:
            count, each = self._runs.popleft()
            self._given_up = [self._given_up[0] + count, self._given_up[1] + count * each]

    def written(self, lines: int) -> None:
        """So many lines of this connection stand in the store."""
        more, self._told = max(0, lines - self._told), max(lines, self._told)
        passed = min(more, self._given_up[0])
        self._given_up[0] -= passed
        more -= passed
        while more > 0 and self._runs:
            first = self._runs[0]
            gone = min(more, first[0])
            first[0] -= gone
            more -= gone
            if not first[0]:
                self._runs.popleft()

    @property
    def total(self) -> int:
        """What they stand for."""
        return self._given_up[1] + sum(count * weight for count, weight in self._runs)


class ObservationLink:
    """Lines in, at any time; out, while the service is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._news = asyncio.Event()

    def send(self, line: bytes) -> None:
        """Hand on one line, or count it as lost."""
        if len(self._waiting) >= MOST or self._size + len(line) > LARGEST:
            self._lost += 1
            self._news.set()
            return
        self._waiting.append(line if line.endswith(b"\n") else line + b"\n")
        self._size += len(line)
        self._news.set()

    async def keep(self) -> None:
        """For ever."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            unwritten = Unwritten()
            try:
                async with asyncio.TaskGroup() as tasks:
                    pouring = tasks.create_task(self._pour(writer, unwritten))
                    await _hear(reader, unwritten)
                    pouring.cancel()
            finally:
                self._lost += unwritten.total
                writer.close()
            await asyncio.sleep(RETRY)

    async def _pour(self, writer: asyncio.StreamWriter, unwritten: Unwritten) -> None:
        while True:
            if not self._waiting and not self._lost:
                self._news.clear()
                await self._news.wait()
            lost, self._lost = self._lost, 0
            if lost:
                unwritten.add(lost)
                writer.write(json.dumps({"lost": lost}).encode() + b"\n")
            lines = self._portion()
            unwritten.add(1, len(lines))
            writer.write(b"".join(lines))
            try:
                await writer.drain()
            except OSError:
                return  # the other half of the connection ends, too

    def _portion(self) -> list[bytes]:
        """The next lines, at least one when there is one."""
        lines, size = [], 0
        while self._waiting and size < PORTION:
            lines.append(self._waiting.popleft())
            size += len(lines[-1])
        self._size -= size
        return lines


async def _hear(reader: asyncio.StreamReader, unwritten: Unwritten) -> None:
    """Until the service is gone, or says what cannot be."""
    with suppress(OSError, ValueError):
        while line := await reader.readline():
            unwritten.written(int(line))
