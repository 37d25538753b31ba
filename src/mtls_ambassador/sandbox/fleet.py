"""Many simulated devices in one process: each with its own certificate, connection and life, so many at a time."""

import asyncio
import datetime as dt
import hashlib
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import KeyKind, Pair, Validity, make_device, make_key
from mtls_ambassador.sandbox.device import DeviceConfig, DeviceError, Failure, SimulatedDevice
from mtls_ambassador.sandbox.fleet_report import FleetReport, StepTally

__all__ = ["Action", "FleetConfig", "FleetError", "FleetReport", "issue_each", "new_report", "run_fleet"]

GIVE_UP_AFTER = 200
"""So many devices in a row that could not reach the server, and the run ends."""
LONGEST_WAIT = 60.0
BACKOFF_SECONDS = 1.0
RETRY_STATUS = frozenset({429, 500, 502, 503, 504})


class Action(StrEnum):
    """What each device does, in the order given."""

    ENROL = "enrol"
    INVENTORY = "inventory"
    POLL = "poll"
    UPDATE = "update"
    """Poll, and if there is a deployment: download it, report success."""
    WEBSOCKET = "websocket"
    """Open mender-connect's WebSocket and close it."""


class FleetError(AmbassadorError):
    """The run makes no sense or cannot go on; the text says what to look at."""


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """A run. Times in seconds."""

    devices: int
    base: DeviceConfig
    """What all devices have in common; identity and pair are put in for each."""
    pair_of: Callable[[str], Pair]
    """The certificate for a device name; may block, runs in a thread."""
    name: str = "sim"
    """Devices are called `<name>-1` and so on; the same name again means the same devices."""
    actions: tuple[Action, ...] = (Action.ENROL, Action.INVENTORY, Action.POLL)
    rounds: int = 1
    """How often everything but `enrol` is done."""
    concurrency: int = 100
    rate: float = 0
    """New devices per second at most; 0 means no limit."""
    retries: int = 2
    """Attempts after a failed one, for failures that pass: no answer, 429 and 5xx."""
    max_time: float = 0
    """The run ends after this; 0 means when all are done."""
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)


def issue_each(issuer: Pair, kind: KeyKind, now: dt.datetime) -> Callable[[str], Pair]:
    """A certificate of its own for each device, made in memory and good for a day."""
    validity = Validity.days(now, 1)
    return lambda name: make_device(issuer, name, validity, key=make_key(kind))


def identity_of(name: str) -> dict[str, object]:
    """`{"mac": …}` from a device name: locally administered, always the same."""
    digest = hashlib.sha256(name.encode()).digest()
    return {"mac": ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))}


def new_report(config: FleetConfig) -> FleetReport:
    """An empty report for this run."""
    return FleetReport(config.devices, {str(action): StepTally() for action in config.actions})


async def run_fleet(config: FleetConfig, report: FleetReport) -> None:
    """Run all devices, filling `report` on the way; cancel it at any time, the report holds what was.

    Raises FleetError when the very first device cannot even connect: all others would meet the same.
    """
    started = config.clock()
    fleet = _Fleet(config, report)
    try:
        async with asyncio.timeout(config.max_time or None):
            await fleet.run()
    except TimeoutError:
        report.stopped = f"--max-time {config.max_time:g} s is over"
    finally:
        report.elapsed = config.clock() - started


class _Fleet:
    def __init__(self, config: FleetConfig, report: FleetReport) -> None:
        self.config = config
        self.report = report
        self.unreachable = 0
        self.next_start = config.clock()
        self.random = random.Random()  # noqa: S311 - spreads retries, keeps no secret

    async def run(self) -> None:
        numbers = iter(range(1, self.config.devices + 1))
        first = await self._live(next(numbers))
        if first is not None and first.failure is not Failure.HTTP:
            raise FleetError(_advice(first, self.config.base.url))
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self.config.concurrency, self.config.devices - 1)):
                workers.create_task(self._work(numbers))

    async def _work(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            if self.report.stopped:
                return
            await self._pace()
            error = await self._live(number)
            unreachable = error is not None and error.failure is Failure.UNREACHABLE
            self.unreachable = self.unreachable + 1 if unreachable else 0
            if error is not None and self.unreachable >= GIVE_UP_AFTER:
                self.report.stopped = f"{GIVE_UP_AFTER} devices in a row could not connect: {error.reason}"

    async def _pace(self) -> None:
        if self.config.rate <= 0:
            return
        now = self.config.clock()
        self.next_start = max(self.next_start, now) + 1 / self.config.rate
        await asyncio.sleep(self.next_start - now)

    async def _live(self, number: int) -> DeviceError | None:
        """One device's whole life; returns what ended it early, or None when it came through."""
        name = f"{self.config.name}-{number}"
        pair = await asyncio.to_thread(self.config.pair_of, name)
        self.report.started += 1
        config = replace(self.config.base, pair=pair, identity=identity_of(name))
        async with SimulatedDevice(config) as device:
            for action in self._plan():
                error = await self._attempts(device, action)
                if error is not None:
                    self.report.steps[action].failed += 1
                    return error
        self.report.through += 1
        return None

    def _plan(self) -> Iterator[Action]:
        """Enrolment once, everything else once a round."""
        actions = self.config.actions
        yield from (action for action in actions if action is Action.ENROL)
        for _ in range(self.config.rounds):
            yield from (action for action in actions if action is not Action.ENROL)

    async def _attempts(self, device: SimulatedDevice, action: Action) -> DeviceError | None:
        """Do it, again after failures that pass, as real clients do; returns the last failure or None."""
        tally = self.report.steps[action]
        for attempt in range(self.config.retries + 1):
            started = self.config.clock()
            try:
                await _DO[action](device)
            except DeviceError as error:
                tally.add_failure(error)
                if attempt == self.config.retries or not self._passes(error):
                    return error
                await asyncio.sleep(self._wait(error, attempt))
            else:
                tally.ok += 1
                tally.durations.add(self.config.clock() - started)
                return None
        return None

    def _passes(self, error: DeviceError) -> bool:
        """Whether trying again may help: not after an alert or a plain refusal, nor before anyone got an answer."""
        if error.failure is Failure.HTTP:
            return error.status in RETRY_STATUS
        return error.failure is not Failure.TLS and self.report.answered

    def _wait(self, error: DeviceError, attempt: int) -> float:
        """What Retry-After asks for, else a second, doubled each time; up to half as much on top."""
        asked = float(error.retry_after) if error.retry_after.isdigit() else BACKOFF_SECONDS * 2**attempt
        return min(asked, LONGEST_WAIT) * (1 + self.random.random() / 2)


async def _update(device: SimulatedDevice) -> None:
    deployment = await device.poll_deployment()
    if deployment is None:
        return
    await device.report_status(deployment.id, "downloading")
    await device.download(deployment.uri)
    for status in ("installing", "success"):
        await device.report_status(deployment.id, status)


async def _websocket(device: SimulatedDevice) -> None:
    async with device.open_websocket():
        pass


_DO: dict[Action, Callable[[SimulatedDevice], Coroutine[Any, Any, object]]] = {
    Action.ENROL: SimulatedDevice.authorize,
    Action.INVENTORY: SimulatedDevice.send_inventory,
    Action.POLL: SimulatedDevice.poll_deployment,
    Action.UPDATE: _update,
    Action.WEBSOCKET: _websocket,
}


def _advice(error: DeviceError, url: str) -> str:
    """Why no device can connect, and what to look at."""
    if error.failure is Failure.UNREACHABLE:
        return f"{url}: {error.reason}: is the gateway running, and is this its device address?"
    if error.failure is Failure.TIMEOUT:
        return f"{url}: no answer in time: is this the gateway's device address?"
    if error.reason.startswith("server certificate"):
        return f"{url}: {error.reason}: give the CA of the server certificate with --server-ca"
    if error.reason.startswith("alert"):
        return f"{url}: the server refused the device certificate ({error.reason}): is its CA the one the gateway has?"
    if url.startswith("http:"):
        return f"{url}: {error.reason}: is it https?"
    return f"{url}: {error.reason}: does it speak TLS, and does it trust the CA of the devices?"
