"""Envoy, the decision service and the supervisor: killed, stopped, starved, ended while they start."""

import asyncio
import os
import random
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial

from support.gateway import Gateway
from support.revocation import swap
from torture.scenario import ALL_GOES_ON, CALLS_GO_ON, scenario
from torture.world import World

ENVOY, SERVICE = "envoy", "service"
LONG = 8.0
"""Seconds: longer than a device waits."""
NO_FILES = 3
"""All below are in use: standard input, output and error."""
MANY = 200_000
"""Entries of a denylist, to read which takes memory."""
STARTS_ENDED = 8
"""Starts that are ended at a random moment."""


@scenario(lasts=0.0)
async def envoy_killed(world: World) -> AsyncIterator[None]:
    """Envoy is killed (SIGKILL)."""
    os.kill(world.gateway.child(ENVOY), signal.SIGKILL)
    yield


@scenario(lasts=0.0)
async def envoy_killed_often(world: World) -> AsyncIterator[None]:
    """Envoy is killed five times in three seconds."""
    await _kill_often(world, ENVOY)
    yield


@scenario(lasts=0.0, promise=CALLS_GO_ON)
async def service_killed(world: World) -> AsyncIterator[None]:
    """The decision service is killed (SIGKILL)."""
    os.kill(world.gateway.child(SERVICE), signal.SIGKILL)
    yield


@scenario(lasts=0.0, promise=CALLS_GO_ON)
async def service_killed_often(world: World) -> AsyncIterator[None]:
    """The decision service is killed five times in three seconds."""
    await _kill_often(world, SERVICE)
    yield


@scenario(lasts=0.0)
async def supervisor_killed(world: World) -> AsyncIterator[None]:
    """The supervisor is killed (SIGKILL), and started again as a service manager does."""
    world.gateway.signal(signal.SIGKILL)
    await world.gateway.exit_code()
    await world.restart()
    yield


@scenario(lasts=LONG)
async def envoy_stopped(world: World) -> AsyncIterator[None]:
    """Envoy is stopped (SIGSTOP), and goes on (SIGCONT)."""
    pid = world.gateway.child(ENVOY)
    os.kill(pid, signal.SIGSTOP)
    yield
    _go_on(pid)


@scenario(lasts=LONG, promise=CALLS_GO_ON)
async def service_stopped(world: World) -> AsyncIterator[None]:
    """The decision service is stopped (SIGSTOP), and goes on (SIGCONT)."""
    pid = world.gateway.child(SERVICE)
    os.kill(pid, signal.SIGSTOP)
    yield
    _go_on(pid)


@scenario(promise=ALL_GOES_ON)
async def supervisor_stopped(world: World) -> AsyncIterator[None]:
    """The supervisor is stopped (SIGSTOP), and goes on (SIGCONT)."""
    world.gateway.signal(signal.SIGSTOP)
    yield
    world.gateway.signal(signal.SIGCONT)


@scenario(lasts=0.0)
async def envoy_stopped_for_good(world: World) -> AsyncIterator[None]:
    """Envoy is stopped (SIGSTOP) for good."""
    os.kill(world.gateway.child(ENVOY), signal.SIGSTOP)
    yield


@scenario(lasts=0.0, promise=CALLS_GO_ON)
async def service_stopped_for_good(world: World) -> AsyncIterator[None]:
    """The decision service is stopped (SIGSTOP) for good."""
    os.kill(world.gateway.child(SERVICE), signal.SIGSTOP)
    yield


@scenario(lasts=LONG)
async def envoy_without_files(world: World) -> AsyncIterator[None]:
    """Envoy may open no more files."""
    async for _ in _without_files(world.gateway.child(ENVOY)):
        yield


@scenario(lasts=LONG, promise=CALLS_GO_ON)
async def service_without_files(world: World) -> AsyncIterator[None]:
    """The decision service may open no more files."""
    async for _ in _without_files(world.gateway.child(SERVICE)):
        yield


@scenario(promise=ALL_GOES_ON)
async def supervisor_without_files(world: World) -> AsyncIterator[None]:
    """The supervisor may open no more files while the denylist changes; it is in force once it may."""
    taken = len(world.gateway.events("taken"))
    async for _ in _without_files(world.gateway.process.pid):
        swap(world.blacklist, world.blacklist.read_bytes() + b"abc\n")
        yield
    await world.gateway.event("taken", taken + 1)


@scenario(promise=ALL_GOES_ON)
async def supervisor_without_memory(world: World) -> AsyncIterator[None]:
    """The supervisor gets no more memory (RLIMIT_AS) while the denylist grows; it is in force once it does."""
    taken = len(world.gateway.events("taken"))
    more = await asyncio.to_thread(lambda: "".join(f"{1 << 80 | number:040x}\n" for number in range(MANY)))
    async for _ in _without_memory(world.gateway.process.pid):
        swap(world.blacklist, world.blacklist.read_bytes() + more.encode())
        yield
    await world.gateway.event("taken", taken + 1)


@scenario()
async def envoy_without_memory(world: World) -> AsyncIterator[None]:
    """Envoy gets no more memory (RLIMIT_AS)."""
    async for _ in _without_memory(world.gateway.child(ENVOY)):
        yield


@scenario(promise=CALLS_GO_ON)
async def service_without_memory(world: World) -> AsyncIterator[None]:
    """The decision service gets no more memory (RLIMIT_AS)."""
    async for _ in _without_memory(world.gateway.child(SERVICE)):
        yield


MILESTONES: dict[str, Callable[[Gateway, float], bool]] = {
    "its first line": lambda gateway, _: bool(gateway.lines),
    "the runtime folder": lambda gateway, _: bool(list(gateway.folder.glob("mtls-ambassador-*"))),
    "the decision service's socket": lambda gateway, _: _has(gateway, "decision.sock"),
    "Envoy's configuration": lambda gateway, _: _has(gateway, "envoy.json"),
    "Envoy's admin socket": lambda gateway, _: _has(gateway, "admin.sock"),
    "readiness": lambda gateway, _: bool(gateway.events("ready")),
}
"""What shows how far a start has come."""


@scenario(lasts=0.0)
async def sigterm_while_starting(world: World) -> AsyncIterator[None]:
    """SIGTERM at each milestone of the start, and at random moments; then a start to the end."""
    await world.stop()
    for name, is_reached in MILESTONES.items():
        await _start_and_end(world, f"at {name}", is_reached)
    for _ in range(STARTS_ENDED):
        seconds = random.uniform(0, 2)  # noqa: S311 - a moment, no secret
        await _start_and_end(world, f"after {seconds:.2f} s", partial(_has_passed, seconds))
    await world.start()
    yield


async def _start_and_end(world: World, when: str, is_reached: Callable[[Gateway, float], bool]) -> None:
    """One start that is told to end at a moment: exit code 0, nothing left behind."""
    loop = asyncio.get_running_loop()
    await world.start(wait=False)
    began = loop.time()
    while not is_reached(world.gateway, loop.time() - began):
        if world.gateway.process.returncode is not None:
            break
        await asyncio.sleep(0.002)
    world.gateway.signal(signal.SIGTERM)
    code = await world.gateway.exit_code()
    left = list(world.gateway.folder.glob("mtls-ambassador-*"))
    await world.stop()
    if code == -signal.SIGTERM and not world.gateway.lines:
        world.notes.append(f"SIGTERM {when} came before Python could hear it, and left nothing")
    elif code:
        world.faults.append(f"SIGTERM {when}: exit code {code}")
    if left:
        world.faults.append(f"SIGTERM {when}: {left[0].name} was left behind")


def _has_passed(wanted: float, _: Gateway, passed: float) -> bool:
    return passed >= wanted


def _has(gateway: Gateway, name: str) -> bool:
    return any(gateway.folder.glob(f"mtls-ambassador-*/{name}"))


async def _kill_often(world: World, part: str) -> None:
    for _ in range(5):
        with suppress(StopIteration, ProcessLookupError, FileNotFoundError):
            os.kill(world.gateway.child(part), signal.SIGKILL)
        await asyncio.sleep(0.6)


def _go_on(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


async def _without_files(pid: int) -> AsyncIterator[None]:
    """What is open stays open; nothing more can be opened."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (NO_FILES, before[1]))
    yield
    _put_back(pid, resource.RLIMIT_NOFILE, before)


async def _without_memory(pid: int) -> AsyncIterator[None]:
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (0, before[1]))
    yield
    _put_back(pid, resource.RLIMIT_AS, before)


def _put_back(pid: int, which: int, limits: tuple[int, int]) -> None:
    """Nothing, when it died of it."""
    with suppress(ProcessLookupError):
        resource.prlimit(pid, which, limits)
