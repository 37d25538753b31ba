"""What Envoy counts is counted once, whoever of the two was restarted; long lines stay whole."""

import asyncio
import datetime as dt
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mtls_ambassador.envoy.process import Admin
from mtls_ambassador.flows import observations
from mtls_ambassador.flows.children import Child
from mtls_ambassador.flows.ledger import Ledger
from support.client import until


@asynccontextmanager
async def envoy(path: Path, *totals: int) -> AsyncIterator[list[int]]:
    """An admin interface with these totals of calls, one for each question, then the last one again and again."""
    asked: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(totals[min(len(asked), len(totals) - 1)])
        writer.write(f"HTTP/1.1 200 OK\r\n\r\nhttp.devices.downstream_rq_total: {asked[-1]}\n".encode())
        writer.close()

    server = await asyncio.start_unix_server(answer, path)
    try:
        yield asked
    finally:
        server.close()


async def test_calls_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "ASK_EVERY", 0.01)
    ledger = Ledger(lambda: dt.datetime(2026, 11, 28, tzinfo=dt.UTC))
    async with envoy(tmp_path / "admin.sock", 1000, 1003, 2) as asked, asyncio.TaskGroup() as tasks:
        counting = tasks.create_task(observations.count_calls(ledger, Admin(tmp_path / "admin.sock")))
        await until(lambda: len(asked) > 4)
        counting.cancel()
    assert ledger.totals["calls", ""] == 3 + 2


async def test_a_line_with_the_largest_certificate_comes_whole() -> None:
    lines: list[bytes] = []

    async def is_ready() -> bool:
        return True

    child = Child(
        "a child",
        [sys.executable, "-c", "import time; print('x' * 150_000, flush=True); time.sleep(60)"],
        is_ready,
        on_output=lines.append,
    )
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(child.keep_running())
        await until(lambda: bool(lines))
        keeping.cancel()
    await child.reap()
    assert lines[0] == b"x" * 150_000 + b"\n"
