"""A fault as a small declaration, and how it is run: injected, lifted, recovery waited for, the history checked."""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

from torture.history import Call, History, Kind, Promise, Role, violations
from torture.world import Setting, World

CALM = 1.5
"""Seconds without a failed call that count as recovery."""
AFTER = 1.5
"""Seconds of traffic after that, of which all must succeed."""
PATIENCE = 45.0
"""Seconds within which a gateway must have recovered."""
LOOK = 0.1
BUSY = 1.0
"""Seconds: when upstream and devices stood still for longer, a failure says more of the machine than of the gateway."""
OF_TIME = ("harmed what must go on", "failed again after recovery")
"""Promises that a machine without time may seem to break. What may never happen is never excused."""
NOTHING_MORE = Promise()
CALLS_GO_ON = Promise(frozenset({Kind.CALL}))
ALL_GOES_ON = Promise(frozenset(Kind))

Fault = Callable[[World], AsyncIterator[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done to a gateway under traffic, and what it must hold meanwhile."""

    name: str
    what: str
    """What is injected, in words."""
    fault: Callable[[World], AbstractAsyncContextManager[None]]
    """Injects when entered and lifts when left."""
    lasts: float
    """Seconds between the two."""
    promise: Promise
    setting: Setting
    lacks: Callable[[], str]
    """What this machine lacks to run it; empty when nothing."""


ALL: dict[str, Scenario] = {}
"""By name, in the order of their declaration."""


def scenario(
    what: str = "",
    *,
    lasts: float = 4.0,
    promise: Promise = NOTHING_MORE,
    setting: Setting | None = None,
    lacks: Callable[[], str] = str,
) -> Callable[[Fault], Fault]:
    """Declare a scenario: the function injects its fault before its `yield`, and lifts it after that.

    `what` is injected, in words; without it, the function's docstring says it.
    """

    def declare(fault: Fault) -> Fault:
        name = fault.__name__.replace("_", "-")
        told = what or (fault.__doc__ or "").rstrip(".")
        ALL[name] = Scenario(name, told, asynccontextmanager(fault), lasts, promise, setting or Setting(), lacks)
        return fault

    return declare


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one scenario."""

    scenario: str
    what: str
    missing: str = ""
    """Why it was not run here."""
    broken: tuple[str, ...] = ()
    """The promises that were not kept."""
    calls: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Good and new devices' calls by phase (`while`, `after`) and outcome."""
    enrolled: int = 0
    """New devices that got in."""
    unwelcome: int = 0
    """Calls of denied devices and strangers; none came through, or `broken` says so."""
    recovery: float | None = None
    """Seconds from the end of the fault to the last good device's call that failed."""
    notes: tuple[str, ...] = ()
    lag: float = 0.0
    """The longest that upstream and devices, which are this process, stood still, in seconds."""
    log: tuple[str, ...] = field(default=(), repr=False)
    """The gateway's, when something was broken."""

    @property
    def verdict(self) -> str:
        """In one word, with the reasons."""
        if self.missing:
            return f"not run: {self.missing}"
        return f"FAILED: {'; '.join(self.broken)}" if self.broken else "ok"


@dataclass(slots=True)
class Lag:
    """How long the loop stood still at the longest."""

    longest: float = 0.0

    async def watch(self, ended: asyncio.Event) -> None:
        """Until then."""
        while not ended.is_set():
            began = time.monotonic()
            await asyncio.sleep(LOOK)
            self.longest = max(self.longest, time.monotonic() - began - LOOK)


async def run(chosen: Scenario) -> Result:
    """Run one scenario in a world of its own."""
    if missing := chosen.lacks():
        return Result(chosen.name, chosen.what, missing)
    result = await _tried(chosen)
    if result.lag <= BUSY or not result.broken or not all(each.startswith(OF_TIME) for each in result.broken):
        return result
    again = await _tried(chosen)
    note = f"the second run; in the first, upstream stood still for {result.lag:.1f} s on a busy machine"
    return replace(again, notes=(*again.notes, note))


async def _tried(chosen: Scenario) -> Result:
    try:
        return await _run(chosen)
    except Exception as error:  # noqa: BLE001 - the others shall run all the same
        causes = traceback.format_exception(error)
        return Result(chosen.name, chosen.what, broken=(f"could not be run: {_first(error)!r}",), log=tuple(causes))


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _run(chosen: Scenario) -> Result:
    async with World.running(chosen.setting) as world:
        lag, watching = Lag(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lag.watch(watching))
            try:
                history = await _played(chosen, world)
            finally:
                watching.set()
        broken = violations(history, chosen.promise)
        return Result(
            chosen.name,
            chosen.what,
            broken=broken,
            calls=_counted(history),
            enrolled=sum(1 for call in history.of(Role.NEW) if call.is_ok),
            unwelcome=len(history.of(Role.DENIED, Role.STRANGER)),
            recovery=None if history.recovered is None else history.seconds_to_recover,
            notes=history.notes,
            lag=lag.longest,
            log=tuple(world.log) if broken else (),
        )


async def _played(chosen: Scenario, world: World) -> History:
    async with world.traffic.running():
        await asyncio.sleep(CALM)
        injected = time.monotonic()
        async with chosen.fault(world):
            await asyncio.sleep(chosen.lasts)
        lifted = time.monotonic()
        recovered = await _recovery(world, lifted)
        if recovered is not None:
            await asyncio.sleep(AFTER)
    await world.stop()
    arrivals, auth_sets = world.seen_upstream()
    return History(
        world.traffic.roles,
        tuple(world.traffic.calls),
        arrivals,
        auth_sets,
        world.seen_in_store(),
        injected,
        lifted,
        recovered,
        tuple(world.faults),
        tuple(world.notes),
    )


async def _recovery(world: World, lifted: float) -> float | None:
    """When all good devices have been served for a while and no new one waits; None when that does not come."""
    traffic = world.traffic
    while time.monotonic() < lifted + PATIENCE:
        await asyncio.sleep(0.05)
        now = time.monotonic()
        is_late = now > lifted + 2 * CALM
        if is_late:
            traffic.bring_no_more()
        recent = [call for call in reversed(traffic.calls) if call.ended > now - CALM]
        good = [call for call in recent if traffic.roles[call.who] is Role.GOOD]
        if now > lifted + CALM and _is_calm(good, traffic.roles) and not (is_late and traffic.waiting):
            traffic.bring_no_more()
            if not traffic.waiting:
                return now
    return None


def _is_calm(calls: list[Call], roles: Mapping[str, Role]) -> bool:
    """Whether each good device was served, and none was not."""
    return all(call.is_ok for call in calls) and {call.who for call in calls} == {
        name for name, role in roles.items() if role is Role.GOOD
    }


def _counted(history: History) -> dict[str, dict[str, int]]:
    end = history.recovered if history.recovered is not None else float("inf")
    counts: dict[str, dict[str, int]] = {"while": {}, "after": {}}
    for call in history.of(Role.GOOD, Role.NEW):
        if call.ended < history.injected:
            continue
        phase = counts["after" if call.began >= end else "while"]
        outcome = "ok" if call.is_ok else f"{call.kind}: {call.outcome}"
        phase[outcome] = phase.get(outcome, 0) + 1
    return counts
