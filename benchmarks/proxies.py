"""What a device call costs: our gateway with every feature on, beside nginx, HAProxy, Go's proxy and a bare Envoy.

Each proxy has one core to itself in its turn; devices and upstream share the other. Counted is the proxy's own CPU time
(all its processes), in rounds that take turns; medians. `docs/performance.md` explains.
"""

import argparse
import asyncio
import os
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from measure import handshake
from measure.devices import MEGABYTE, Devices, open_port
from measure.gateway import Files
from measure.load import Load
from measure.processes import OTHER_CORE, Workshop, free_port, running, script
from measure.proxies import NAMES, OURS, Bench, Proxy, can_run, install
from measure.report import Report

CERTIFICATES = 200
AT_ONCE = 8
WARM_UP = 300
OPEN_FILES = 8192
SETTLE, REST = 2.5, 3.0
"""Seconds until memory is read, and for the ledger to be written after the last call; and of rest, measured."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Goal:
    """Ours over another's, at most."""

    number: str
    other: str
    most: float


GOALS = (
    Goal("fresh", "nginx", 0.45),
    Goal("fresh", "HAProxy", 0.45),
    Goal("fresh", "Go ReverseProxy", 0.85),
    Goal("fresh", "bare Envoy", 1.15),
    Goal("kept", "Go ReverseProxy", 1.3),
    *(Goal("download", name, 0.8) for name in ("nginx", "HAProxy", "Go ReverseProxy")),
)
IDLE_GOAL = 30.0
TITLES = {
    "fresh": "µs, call on a fresh connection",
    "kept": "µs, call on one that is kept",
    "download": "ms, download of 100 MB",
    "idle": "kB, idle connection",
}
SCALES = {"fresh": 1e6, "kept": 1e6, "download": 1e3}


@dataclass(slots=True)
class Found:
    """What was measured of one proxy, round by round."""

    cpu: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {name: [] for name in SCALES})
    """By number: CPU by part, in the number's unit."""
    idle: float = 0.0
    """Kilobytes; once, for a process gives back little of what it once had."""
    rest: dict[str, float] = field(default_factory=dict)
    """CPU by part when nobody calls, in milliseconds a second: taken off what calls cost."""
    fresh: Load = field(default_factory=Load)
    kept: Load = field(default_factory=Load)

    def median(self, number: str) -> float:
        """Of all parts together."""
        return self.idle if number == "idle" else statistics.median(sum(each.values()) for each in self.cpu[number])

    def parts(self, number: str) -> dict[str, float]:
        """Medians by part."""
        rounds = self.cpu[number]
        return {part: statistics.median(each[part] for each in rounds) for part in rounds[0]}


def main() -> int:
    options = _options()
    if len(os.sched_getaffinity(0)) < 2:
        print("benchmarks/proxies.py: two cores are needed: one to measure, one for the rest", file=sys.stderr)
        return 1
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
    os.sched_setaffinity(0, {OTHER_CORE})
    install()
    names = [name for name in options.only if can_run(name)]
    for name in options.only:
        if name not in names:
            print(f"{name}: not here, left out")
    print(
        f"load before: {os.getloadavg()[0]:.2f} (others take from what is measured; CPU time suffers least)", flush=True
    )
    with Workshop.opened() as workshop:
        files = Files.make(workshop.folder)
        devices = Devices.make(files, CERTIFICATES)
        bare = handshake.measure(files, devices)
        found = uvloop.run(_measure(workshop, files, devices, names, options))
    _report(found, bare).save(options.json)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the values to FILE too")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="measure only these")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each proxy (default 5)")
    parser.add_argument("--calls", type=int, default=1000, help="calls on fresh connections a turn (default 1000)")
    parser.add_argument("--connections", type=int, default=1000, help="idle connections (default 1000)")
    options = parser.parse_args()
    if min(options.rounds, options.calls, options.connections) < 1:
        parser.error("--rounds, --calls and --connections must be at least 1")
    return options


async def _measure(
    workshop: Workshop, files: Files, devices: Devices, names: list[str], options: argparse.Namespace
) -> dict[str, Found]:
    found = {name: Found() for name in names}
    async with _upstream(workshop) as port, AsyncExitStack() as started:
        bench = Bench(workshop, files, port)
        proxies = []
        for name in names:
            print(f"{name}: start, memory, rest", flush=True)
            proxy = await started.enter_async_context(bench.proxy(name))
            proxies.append(proxy)
            found[name].idle = await _idle(proxy, devices, options.connections)
            found[name].rest = await _rest(proxy)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", flush=True)
            for proxy in proxies:
                await _turn(proxy, devices, options.calls, found[proxy.name])
    return found


@asynccontextmanager
async def _upstream(workshop: Workshop) -> AsyncIterator[int]:
    port, log = free_port(), workshop.folder / "upstream.log"
    argv = script("instant_upstream.py", str(port))
    async with running(argv, workshop.environ({}), core=OTHER_CORE, log=log):
        open_port(port, log)
        yield port


async def _idle(proxy: Proxy, devices: Devices, connections: int) -> float:
    """Kilobytes a connection, of a proxy that has seen some calls."""
    await asyncio.to_thread(devices.fresh, proxy.port, WARM_UP, AT_ONCE)
    await asyncio.sleep(SETTLE)
    before = proxy.kilobytes()
    with devices.idle(proxy.port, connections):
        await asyncio.sleep(SETTLE)
        return (proxy.kilobytes() - before) / connections


async def _rest(proxy: Proxy) -> dict[str, float]:
    """Once what came before is written down."""
    await asyncio.sleep(SETTLE)
    before = proxy.cpu()
    await asyncio.sleep(REST)
    after = proxy.cpu()
    return {part: (after[part] - before[part]) / REST * 1e3 for part in before}


async def _turn(proxy: Proxy, devices: Devices, calls: int, found: Found) -> None:
    async def count(number: str, per: int, work: Callable[[], T]) -> T:
        """Each part's CPU beyond that of rest, until its lines are written and read."""
        before, began = proxy.cpu(), time.perf_counter()
        result = await asyncio.to_thread(work)
        if number == "fresh" and proxy.name in OURS:
            await asyncio.sleep(SETTLE)
        after, seconds = proxy.cpu(), time.perf_counter() - began
        used = {part: after[part] - before[part] - found.rest[part] / 1e3 * seconds for part in before}
        found.cpu[number].append({part: value / per * SCALES[number] for part, value in used.items()})
        return result

    _add(found.fresh, await count("fresh", calls, lambda: devices.fresh(proxy.port, calls, AT_ONCE)))
    _add(found.kept, await count("kept", 4 * calls, lambda: devices.kept(proxy.port, 4 * calls, AT_ONCE)))
    size = await count("download", 1, lambda: devices.download(proxy.port))
    if size != 100 * MEGABYTE:
        raise RuntimeError(f"{proxy.name} passed {size} bytes on")


def _add(whole: Load, part: Load) -> None:
    whole.seconds += part.seconds
    whole.waits += part.waits


def _report(found: dict[str, Found], bare: handshake.Handshake) -> Report:
    """The tables; what they say as values."""
    report = Report({"handshake": asdict(bare), "proxies": {name: _values(one) for name, one in found.items()}})
    print(f"\n{'CPU and memory':<34}" + "".join(f"{name:>16}" for name in found))
    for number, title in TITLES.items():
        print(f"{title:<34}" + "".join(f"{each.median(number):>16.0f}" for each in found.values()))
    print(f"{'ms a second, CPU at rest':<34}" + "".join(f"{sum(each.rest.values()):>16.1f}" for each in found.values()))
    for number in ("fresh", "kept"):
        loads = [getattr(each, number) for each in found.values()]
        print(f"{number + ', calls/s by the clock':<34}" + "".join(f"{len(a.waits) / a.seconds:>16.0f}" for a in loads))
        waits = [f"{a.percentile(0.5) * 1e3:.1f}, {a.percentile(0.99) * 1e3:.1f}" for a in loads]
        print(f"{number + ', p50 and p99 in ms':<34}" + "".join(f"{each:>16}" for each in waits))
    report.note(
        f"the handshake alone: {bare.operations:.0f} µs its cryptography, {bare.openssl:.0f} µs all of OpenSSL's"
    )
    for name in (each for each in found if each in OURS):
        for number in SCALES:
            parts = ", ".join(f"{part} {value:.0f}" for part, value in found[name].parts(number).items())
            report.note(f"{name}, {TITLES[number]}: {parts}")
        _goals(report, name, found)
    return report


def _values(found: Found) -> dict[str, Any]:
    values: dict[str, Any] = {number: found.median(number) for number in TITLES}
    for name, load in (("fresh", found.fresh), ("kept", found.kept)):
        values[f"{name} calls/s"] = len(load.waits) / load.seconds
        values[f"{name} p50 ms"], values[f"{name} p99 ms"] = (load.percentile(at) * 1e3 for at in (0.5, 0.99))
    return values | {"rounds": found.cpu, "rest": found.rest}


def _goals(report: Report, name: str, found: dict[str, Found]) -> None:
    ours = found[name]
    for goal in GOALS:
        if goal.other in found:
            ratio = ours.median(goal.number) / found[goal.other].median(goal.number)
            title = f"{name} over {goal.other}: {TITLES[goal.number].partition(', ')[2]}"
            report.row(title, f"{ratio:.2f}", f"<= {goal.most:g}", good=ratio <= goal.most)
    idle = ours.median("idle")
    report.row(f"{name}: {TITLES['idle'].partition(', ')[2]}", f"{idle:.0f} kB", "<= 30 kB", good=idle <= IDLE_GOAL)


if __name__ == "__main__":
    sys.exit(main())
