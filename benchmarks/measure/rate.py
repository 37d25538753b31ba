"""Auth requests a second: the decision service alone on one core, upstream and load on the other."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from measure.fleet import Fleet, make_fleet
from measure.gateway import Files
from measure.load import Load, send
from measure.processes import (
    OTHER_CORE,
    PATIENCE,
    SERVICE_CORE,
    Workshop,
    cpu_seconds,
    free_port,
    module,
    running,
    script,
)
from mtls_ambassador.decide.denylist import Denied
from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.flows.compile_denylist import swap, write_denylist

CONNECTIONS = 32
WARM_UP = 64
ROUND = 250


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of the table."""

    name: str
    requests: int
    per_second: float
    """By the clock: disturbed by whatever else runs on the machine."""
    best_per_second: float
    """The same of the least disturbed round."""
    per_cpu_second: float
    """By the measured process's own CPU time: what one undisturbed core would do."""
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Bench:
    """One decision service in front of the instant upstream."""

    workshop: Workshop
    files: Files
    upstream: str
    state: Path

    @asynccontextmanager
    async def service(self) -> AsyncIterator[tuple[Path, int]]:
        """The decision service without Envoy; yields its socket and process id."""
        runtime = Path(tempfile.mkdtemp(prefix="service-", dir=self.workshop.folder))
        # The supervisor's part: without a list of who is denied, nobody is let in.
        paths = RuntimePaths(runtime)
        swap(paths, write_denylist(Denied(frozenset()), {}, paths, ignores_end=False).path)
        given = self.files.environ(self.upstream, self.state, free_port(), free_port())
        argv = module("mtls_ambassador", "service", "--runtime", str(runtime))
        async with running(argv, self.workshop.environ(given), core=SERVICE_CORE, log=runtime / "log") as process:
            await _listening(runtime / "decision.sock")
            yield runtime / "decision.sock", process.pid

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[tuple[Path, int]]:
        """The same libraries passing the call on without any decision."""
        socket, log = self.state.with_suffix(".sock"), self.state.with_suffix(".log")
        argv = script("peer.py", str(socket), self.upstream)
        async with running(argv, self.workshop.environ({}), core=SERVICE_CORE, log=log) as process:
            await _listening(socket)
            yield socket, process.pid


async def measure(workshop: Workshop, files: Files, devices: int) -> list[Rate]:
    """All rows, the peer first; needs a machine with two cores."""
    os.sched_setaffinity(0, {OTHER_CORE})
    port = free_port()
    upstream = running(
        script("instant_upstream.py", str(port)),
        workshop.environ({}),
        core=OTHER_CORE,
        log=workshop.folder / "upstream.log",
    )
    rows: list[Rate] = []
    async with upstream:
        await _open(port)
        for kind in Fleet:
            state = workshop.folder / f"state-{kind}"
            bench = Bench(workshop, files, f"http://127.0.0.1:{port}", state)
            fleet = make_fleet(kind, files.ca, devices + WARM_UP)
            if not rows:
                rows.append(await _peer(bench, fleet[WARM_UP:]))
            rows += await _service(bench, kind, fleet[:WARM_UP], fleet[WARM_UP:])
    return rows


async def _peer(bench: Bench, fleet: list[bytes]) -> Rate:
    async with bench.peer() as (socket, pid):
        await send(socket, fleet[:WARM_UP], CONNECTIONS)
        return await _row("peer: aiohttp passing the call on", socket, pid, fleet)


async def _service(bench: Bench, kind: Fleet, first: list[bytes], fleet: list[bytes]) -> list[Rate]:
    async with bench.service() as (socket, pid):
        await send(socket, first, CONNECTIONS)
        new = await _row(f"new device, {kind}", socket, pid, fleet)
    async with bench.service() as (socket, pid):
        await send(socket, first, CONNECTIONS)
        again = await _row(f"known device, {kind}, first time since the start", socket, pid, fleet)
        known = await _row(f"known device, {kind}", socket, pid, fleet)
        return [new, again, known]


async def _row(name: str, socket: Path, pid: int, fleet: list[bytes]) -> Rate:
    before = cpu_seconds(pid)
    rounds = [await send(socket, part, CONNECTIONS) for part in _batched(fleet, ROUND)]
    used = cpu_seconds(pid) - before
    whole = Load(sum(each.seconds for each in rounds), [wait for each in rounds for wait in each.waits])
    return Rate(
        name,
        requests=len(fleet),
        per_second=len(fleet) / whole.seconds,
        best_per_second=max(len(each.waits) / each.seconds for each in rounds),
        per_cpu_second=len(fleet) / used,
        p50_ms=whole.percentile(0.50) * 1000,
        p99_ms=whole.percentile(0.99) * 1000,
    )


def _batched(fleet: list[bytes], size: int) -> list[list[bytes]]:
    """In rounds of this size; what is left over at the end goes with the last one."""
    starts = range(0, max(len(fleet) - size, 0) + 1, size)
    return [fleet[start : start + size] if start != starts[-1] else fleet[start:] for start in starts]


async def _listening(path: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_unix_connection(path)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return


async def _open(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
