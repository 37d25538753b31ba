"""The gateway from start to end: Envoy and the decision service, kept running, drained and ended in order."""

import asyncio
import datetime as dt
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from mtls_ambassador.envoy import process
from mtls_ambassador.envoy.listener import DEVICES
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.render import device_connections
from mtls_ambassador.flows import envoy_lines, machine
from mtls_ambassador.flows.children import Child
from mtls_ambassador.flows.keep_current import KeepCurrent
from mtls_ambassador.flows.observation_link import ObservationLink
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Settings

ENDING = (signal.SIGTERM, signal.SIGINT)
DRAIN_POLL = 0.1
ENVOY_PATIENCE = 5.0
SERVICE_PATIENCE = 10.0
"""Seconds between SIGTERM and SIGKILL; when the service gets its SIGTERM, no device is connected any more."""


def service_command(config_file: Path | None) -> list[str]:
    """How the decision service is started; the runtime folder is added to it."""
    chosen = ["--config", str(config_file)] if config_file else []
    return [sys.executable, "-m", "mtls_ambassador", "service", *chosen]


def run(settings: Settings, service: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second one ends everything at once.

    Raises AmbassadorError when the gateway cannot start. Whatever happens, no child and no file is left behind.
    """
    began = time.monotonic()
    host = machine.inspect()
    _warn_of_few_files(settings, host)
    with _kept_off(ENDING), machine.runtime_folder(os.environ) as paths:
        try:
            asyncio.run(_Gateway(settings, paths, service, began, host).serve())
        finally:
            for number in ENDING:
                signal.signal(number, signal.SIG_IGN)  # the end is under way
    structlog.get_logger().info("ended")


@contextmanager
def _kept_off(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """These wait until `serve` can hear them: one that came with the folder already there would leave it behind.

    Afterwards they do what they did before.
    """
    before = {number: signal.getsignal(number) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _warn_of_few_files(settings: Settings, host: Machine) -> None:
    wanted, given = settings.limits.max_connections, device_connections(settings.limits, host)
    if given < wanted:
        structlog.get_logger().warning(
            "fewer device connections than set: the open-file limit is too low",
            max_connections=wanted,
            accepted=given,
            open_files=host.file_limit,
        )


@dataclass(frozen=True, slots=True)
class _Stop:
    """What signals ask for: `asked` by the first, `insisted` by the second."""

    asked: asyncio.Event
    insisted: asyncio.Event

    @classmethod
    def on_signals(cls) -> "_Stop":
        stop = cls(asyncio.Event(), asyncio.Event())
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, stop.receive)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        return stop

    def receive(self) -> None:
        (self.insisted if self.asked.is_set() else self.asked).set()


class _Gateway:
    """The two children of one run."""

    def __init__(
        self, settings: Settings, paths: RuntimePaths, service: Sequence[str], began: float, host: Machine
    ) -> None:
        self._settings = settings
        self._current = KeepCurrent(settings, paths, host, lambda: dt.datetime.now(dt.UTC))
        self._paths = paths
        self._began = began
        self._admin = process.Admin(paths.admin_socket)
        envoy_log = envoy_lines.EnvoyLog()
        self._link = ObservationLink(paths.observations)
        self._service = Child(
            "the decision service",
            [*service, "--runtime", str(paths.directory)],
            self._service_accepts,
            pulse=partial(process.pulse, paths.decision_socket),
        )
        self._envoy = Child(
            "Envoy",
            process.arguments(settings, paths, machine.cores()),
            self._admin.is_ready,
            environ=process.environment(os.environ),
            on_output=envoy_lines.RefusalLog(_later, self._link.send).read,
            on_error=envoy_log.read,
            last_words=envoy_log.last_error,
            pulse=partial(process.pulse, paths.admin_socket),
        )

    async def serve(self) -> None:
        """Start both, wait for the signal, end both."""
        stop = _Stop.on_signals()
        structlog.get_logger().info("starting", **self._addresses())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._service.keep_running())
                tasks.create_task(self._publish_and_run_envoy(stop))
                tasks.create_task(self._story(stop))
        except* AmbassadorError as group:
            raise _first(group) from None
        finally:
            await self._envoy.reap()
            await self._service.reap()

    async def _publish_and_run_envoy(self, stop: _Stop) -> None:
        """No device is served before the service has said what the store denies."""
        await _unless(stop.asked, self._begin())
        if stop.asked.is_set():
            return
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(each.keep()) for each in (self._current, self._link)]
            await self._envoy.keep_running()
            for task in watching:
                task.cancel()

    async def _begin(self) -> None:
        machine.require_port(self._settings.listen, "MTLS_LISTEN")
        await self._service.wait_ready()
        await asyncio.to_thread(self._current.begin)

    async def _story(self, stop: _Stop) -> None:
        await _unless(stop.asked, self._ready())
        await stop.asked.wait()
        structlog.get_logger().info("draining", at_most=self._settings.limits.drain_time)
        await _unless(stop.insisted, self._end_in_order())
        self._envoy.kill()
        self._service.kill()

    async def _ready(self) -> None:
        await asyncio.gather(self._service.wait_ready(), self._envoy.wait_ready())
        seconds = round(time.monotonic() - self._began, 3)
        structlog.get_logger().info("ready", **self._addresses(), seconds=seconds)

    def _addresses(self) -> dict[str, str]:
        chosen = self._settings
        return {"listen": str(chosen.listen), "upstream": str(chosen.upstream), "admin": str(chosen.admin_listen)}

    async def _end_in_order(self) -> None:
        """Readiness off, devices asked to leave, Envoy ended, and only then the service their calls needed."""
        if self._service.ready.is_set() and self._envoy.ready.is_set():
            self._service.signal(signal.SIGUSR1)
            await self._drain()
        await self._envoy.stop(ENVOY_PATIENCE)
        await self._service.stop(SERVICE_PATIENCE)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._settings.limits.drain_time):
                await self._admin.drain()
                while await self._admin.device_connections(DEVICES):  # noqa: ASYNC110 - Envoy sends no event
                    await asyncio.sleep(DRAIN_POLL)
        except TimeoutError:
            structlog.get_logger().info("drain time is over, closing the connections left")
        except AmbassadorError as error:
            structlog.get_logger().warning("cannot drain", reason=str(error))

    async def _service_accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self._paths.decision_socket)
        except OSError:
            return False
        writer.close()
        return True


def _later(seconds: float, call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, call)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, and leave it when the event comes first."""
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work)
        waiting = tasks.create_task(event.wait())
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        waiting.cancel()


def _first(group: BaseExceptionGroup[AmbassadorError]) -> AmbassadorError:
    """The one error of a group that tells the user most: the first to have come."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, AmbassadorError)  # noqa: S101 - `except*` let only these through
    return error
