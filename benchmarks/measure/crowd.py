"""Thousands of simulated devices in a process of their own, which keeps their keys from one task to the next."""

import asyncio
import datetime as dt
import resource
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from mtls_ambassador.pki.issue import KeyKind, Pair
from mtls_ambassador.sandbox.device import ClientStyle, DeviceConfig, DeviceError, SimulatedDevice
from mtls_ambassador.sandbox.fleet import (
    Action,
    FleetConfig,
    FleetReport,
    identity_of,
    issue_each,
    new_report,
    run_fleet,
)

OPENING = 50
"""WebSockets that are being opened at once."""
FILES = 60_000
"""Open files of one process, of which a gateway with ten thousand WebSockets needs half."""
_pairs: dict[str, Pair] = {}


@dataclass(frozen=True, slots=True)
class Crowd:
    """Which devices, and where they call."""

    url: str
    ca_pem: bytes
    ca_key_pem: bytes = field(repr=False)
    name: str
    devices: int

    def base(self, style: ClientStyle = ClientStyle.GO) -> DeviceConfig:
        """What all have in common."""
        return DeviceConfig(self.url, {}, ca_pem=self.ca_pem, style=style, timeout=300)

    def device(self, number: int) -> DeviceConfig:
        """One of them."""
        name = f"{self.name}-{number}"
        return replace(self.base(), identity=identity_of(name), pair=self.pair_of(name))

    def pair_of(self, name: str) -> Pair:
        """The same certificate each time."""
        if name not in _pairs:
            _pairs[name] = _issuer(self.ca_pem, self.ca_key_pem)(name)
        return _pairs[name]


@cache
def _issuer(ca_pem: bytes, key_pem: bytes) -> Callable[[str], Pair]:
    key = load_pem_private_key(key_pem, None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TypeError("the CA's key is of another kind")
    return issue_each(Pair(load_pem_x509_certificate(ca_pem), key), KeyKind.P256, dt.datetime.now(dt.UTC))


@dataclass(frozen=True, slots=True)
class Done:
    """What a fleet did."""

    through: int
    seconds: float
    steps: dict[str, Any]
    stopped: str


@dataclass(slots=True)
class Worker:
    """The process; what it is given and gives back is pickled."""

    pool: ProcessPoolExecutor = field(default_factory=lambda: ProcessPoolExecutor(1, get_context("spawn")))

    async def run(self, work: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what the work returns
        """Do it there."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, partial(work, *arguments))


@contextmanager
def worker() -> Iterator[Worker]:
    """One, ended with the block."""
    found = Worker()
    try:
        yield found
    finally:
        found.pool.shutdown(cancel_futures=True)


def raise_files() -> int:
    """As many open files as there may be, FILES at the most; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(FILES, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def prepare(crowd: Crowd) -> None:
    """Make the keys and certificates, so that no measurement has it in it."""
    for number in range(1, crowd.devices + 1):
        crowd.pair_of(f"{crowd.name}-{number}")


def fleet(crowd: Crowd, actions: Sequence[str], at_once: int, rounds: int, style: str) -> Done:
    """Each device does these, so many devices at once."""
    raise_files()
    config = FleetConfig(
        crowd.devices,
        crowd.base(ClientStyle(style)),
        crowd.pair_of,
        name=crowd.name,
        actions=tuple(map(Action, actions)),
        rounds=rounds,
        concurrency=at_once,
        retries=20,
    )
    report: FleetReport = new_report(config)
    uvloop.run(_quietly(run_fleet(config, report)))
    steps = {name: tally.to_json() for name, tally in report.steps.items()}
    return Done(report.through, report.elapsed, steps, report.stopped)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Without uvloop's traceback for each connection that a server ends in its handshake: the fleet counts them."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    await work


@dataclass(frozen=True, slots=True)
class Flag:
    """A file by which one process tells another that it may go on."""

    path: Path

    @property
    def is_up(self) -> bool:
        """Whether it was told."""
        return self.path.exists()

    def put_up(self) -> None:
        """Tell."""
        self.path.touch()

    async def seen(self) -> None:
        """Wait until it was told."""
        while not self.is_up:  # noqa: ASYNC110 - another process tells
            await asyncio.sleep(0.2)


@dataclass(frozen=True, slots=True)
class Held:
    """What became of WebSockets that were to be opened."""

    opened: int
    seconds: float
    """Until all were."""
    faults: dict[str, int]


def hold(crowd: Crowd, opened: Flag, let_go: Flag) -> Held:
    """One WebSocket for each device; it tells when all are open, and ends when it is told."""
    raise_files()
    return uvloop.run(_Sockets(crowd).hold(opened, let_go))


class _Sockets:
    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.opened = 0
        self.faults: Counter[str] = Counter()
        self.left = crowd.devices
        self.places = asyncio.Semaphore(OPENING)
        self.done = asyncio.Event()
        self.end = asyncio.Event()

    async def hold(self, opened: Flag, let_go: Flag) -> Held:
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, self.crowd.devices + 1):
                tasks.create_task(self.live(number))
            await self.done.wait()
            seconds = time.monotonic() - began
            opened.put_up()
            await let_go.seen()
            self.end.set()
        return Held(self.opened, seconds, dict(self.faults))

    async def live(self, number: int) -> None:
        """Fails only by being counted."""
        try:
            async with AsyncExitStack() as stack:
                async with self.places:
                    device = await stack.enter_async_context(SimulatedDevice(self.crowd.device(number)))
                    await device.authorize()
                    socket = await stack.enter_async_context(device.open_websocket())
                self.opened += 1
                self._one_less()
                async with asyncio.TaskGroup() as tasks:
                    reading = tasks.create_task(_read(socket))  # answers the server's pings
                    await self.end.wait()
                    reading.cancel()
        except DeviceError as error:
            self.faults[str(error)[:100]] += 1
            self._one_less()

    def _one_less(self) -> None:
        self.left -= 1
        if not self.left:
            self.done.set()


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


def download(crowd: Crowd, number: int, uri: str, let_go: Flag) -> int:
    """Download again and again until it is told to end; how many bytes came whole."""
    return uvloop.run(_download(crowd, number, uri, let_go))


async def _download(crowd: Crowd, number: int, uri: str, let_go: Flag) -> int:
    size = 0
    async with SimulatedDevice(crowd.device(number)) as device:
        await device.authorize()
        while not let_go.is_up:
            size += (await device.download(uri)).size
    return size
