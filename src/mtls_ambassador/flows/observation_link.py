"""The supervisor's end of the way on which Envoy's lines reach the decision service. It waits for nobody.

Lines that the service does not take in time are counted, and the count is told as soon as it takes lines again.
"""

import asyncio
import json
from collections import deque
from pathlib import Path

MOST = 20_000
"""Lines waiting."""
LARGEST = 32 * 1024 * 1024
"""Bytes of them."""
RETRY = 0.2
"""Seconds."""
PORTION = 64 * 1024
"""Bytes of lines handed over at once: a call of the kernel for each line would cost more than all else here."""


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
                _, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            try:
                await self._pour(writer)
            except OSError:
                await asyncio.sleep(RETRY)
            finally:
                writer.close()

    async def _pour(self, writer: asyncio.StreamWriter) -> None:
        while True:
            if not self._waiting and not self._lost:
                self._news.clear()
                await self._news.wait()
            lost, self._lost = self._lost, 0
            if lost:
                writer.write(json.dumps({"lost": lost}).encode() + b"\n")
            lines = self._portion()
            writer.write(b"".join(lines))
            try:
                await writer.drain()
            except OSError:
                self._lost += lost + len(lines)
                raise

    def _portion(self) -> list[bytes]:
        """The next lines, at least one when there is one."""
        lines, size = [], 0
        while self._waiting and size < PORTION:
            lines.append(self._waiting.popleft())
            size += len(lines[-1])
        self._size -= size
        return lines
