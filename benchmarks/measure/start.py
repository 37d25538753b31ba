"""Seconds from `mtls-ambassador run` to ready, seen from outside, with a fresh state folder and with one in use."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from measure.gateway import Files, Start, gateway
from measure.processes import Workshop

NOBODY = "http://127.0.0.1:9"
"""A start needs no Mender server: readiness does not depend on it."""


@dataclass(frozen=True, slots=True)
class StartTimes:
    """Medians over the runs of one kind, in seconds."""

    name: str
    runs: int
    ready: float
    fastest: float
    slowest: float
    seen: dict[str, float] = field(default_factory=dict)
    """When each milestone was first seen."""
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU time by process, when ready."""


async def measure(workshop: Workshop, files: Files, runs: int) -> list[StartTimes]:
    """The first start compiles Python's bytecode and stands alone; the others find it, as after an installation."""
    first = [await _once(workshop, files, "used")]
    fresh = [await _once(workshop, files, f"fresh-{number}") for number in range(runs)]
    used = [await _once(workshop, files, "used") for _ in range(runs)]
    return [
        _median("existing state", used),
        _median("fresh state", fresh),
        _median("fresh state, no bytecode cached", first),
    ]


async def _once(workshop: Workshop, files: Files, state: str) -> Start:
    async with gateway(workshop, files, NOBODY, workshop.folder / f"state-{state}") as running:
        return running.start


def _median(name: str, starts: Sequence[Start]) -> StartTimes:
    ready = [start.seen["ready"] for start in starts]
    return StartTimes(
        name,
        len(starts),
        statistics.median(ready),
        min(ready),
        max(ready),
        _medians([start.seen for start in starts]),
        _medians([start.cpu for start in starts]),
    )


def _medians(each: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for values in each for name in values)
    return {name: statistics.median(values[name] for values in each if name in values) for name in names}
