"""Child processes that are kept running: started, watched, started again when they die, and never left behind."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from mtls_ambassador.envoy.process import Pulse
from mtls_ambassador.model.errors import AmbassadorError

PR_SET_PDEATHSIG = 1
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
STEADY_AFTER = 10.0
"""Seconds a child must have run for its next death to count as the first."""
READY_POLL = 0.02
READY_WITHIN = 30.0
WATCH_EVERY = 2.0
"""Seconds between two questions to a child whether it is still there."""
SILENCES = 3
"""Questions in a row without an answer, after which a child is killed."""
CLOSED = 10
"""The same when nobody listens: an orderly end takes up to 15 s."""

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(parent: int) -> None:
    """Run in the child before exec: the kernel kills it when its parent dies, however that happens (prctl(2))."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


LineHandler = Callable[[bytes], None]
LONGEST_LINE = 1024 * 1024
"""Bytes; Envoy's longest has the largest certificate that BoringSSL takes, 100 KB, URL-encoded, and beside it its names
with four characters for each odd byte."""


@dataclass(slots=True)
class Child:
    """One child process; `is_ready` says whether it does its work, the handlers get its output line by line.

    Without handlers its output goes where ours goes.
    """

    name: str
    argv: Sequence[str]
    is_ready: Callable[[], Awaitable[bool]]
    on_output: LineHandler | None = None
    on_error: LineHandler | None = None
    environ: Mapping[str, str] | None = None
    """Its whole environment; None means ours."""
    last_words: Callable[[], str] = str
    """What its output said about why it ended; empty when nothing did."""
    pulse: Callable[[], Awaitable[Pulse]] | None = None
    """Whether it answers at all; None means that its end alone shows that it is gone."""
    restarts: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = None
    _stopping: bool = False

    async def keep_running(self) -> None:
        """Start it and start it again whenever it ends, until `stop`.

        Raises AmbassadorError when it cannot be started, or ends before it was ready for the first time.
        """
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            code = await self._run_once()
            if self._stopping:
                return
            if not self.ready.is_set():
                raise AmbassadorError(f"{self.name} ended before it was ready: {self.last_words() or _how(code)}")
            if loop.time() - began > STEADY_AFTER:
                pause = FIRST_PAUSE
            structlog.get_logger().error("child ended, starting it again", child=self.name, how=_how(code), pause=pause)
            self.restarts += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def wait_ready(self) -> None:
        """Return once it was ready. Raises AmbassadorError when that takes too long."""
        try:
            async with asyncio.timeout(READY_WITHIN):
                while not await self.is_ready():  # noqa: ASYNC110 - another process makes it so, no event tells
                    await asyncio.sleep(READY_POLL)
        except TimeoutError as error:
            raise AmbassadorError(f"{self.name} was not ready within {READY_WITHIN:g} s") from error
        self.ready.set()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, when it runs."""
        if self._process is not None and self._process.returncode is None:
            # Not Popen's own way: it would collect an ended child before asyncio does, and its exit code were lost.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def stop(self, patience: float) -> None:
        """End it for good: SIGTERM, and SIGKILL after `patience` seconds."""
        self._stopping = True
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience):
                await self._ended()
        except TimeoutError:
            structlog.get_logger().warning("child did not end in time, killing it", child=self.name, seconds=patience)
            self.kill()
            await self._ended()

    def kill(self) -> None:
        """End it for good and at once."""
        self._stopping = True
        self.signal(signal.SIGKILL)

    async def reap(self) -> None:
        """Kill what still runs and collect it, so that nothing is left behind."""
        self.kill()
        await self._ended()

    async def _ended(self) -> None:
        if self._process is not None:
            await self._process.wait()

    async def _run_once(self) -> int:
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.argv,
                env=self.environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipe if self.on_output else None,
                stderr=pipe if self.on_error else None,
                limit=LONGEST_LINE,
                # A session of its own: Ctrl-C reaches the supervisor alone, which then ends its children in order.
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        except OSError as error:
            raise AmbassadorError(f"{self.argv[0]}: cannot start {self.name}: {error.strerror}") from error
        if self._stopping:
            self.kill()
        async with asyncio.TaskGroup() as readers:
            readers.create_task(_relay(self._process.stdout, self.on_output))
            readers.create_task(_relay(self._process.stderr, self.on_error))
            watching = readers.create_task(self._watch())
            code = await self._process.wait()
            watching.cancel()
            return code

    async def _watch(self) -> None:
        """Kill it when it does not answer any more: stopped or stuck, it would never end by itself.

        Silence counts from its first answer on, however long its start takes, and by questions, not by a clock: that
        of a machine that slept proves nothing. One that listens no more is ending, and has as long as that may take.
        One that was told to end has the time that `stop` gives it.
        """
        if self.pulse is None:
            return
        patience = {Pulse.SILENT: CLOSED, Pulse.CLOSED: SILENCES}
        has_answered, used, found = False, 0, Pulse.CLOSED
        while used < SILENCES * CLOSED:
            await asyncio.sleep(WATCH_EVERY)
            found = await self.pulse()
            has_answered |= found is Pulse.ANSWERS
            used = used + patience[found] if has_answered and found is not Pulse.ANSWERS else 0
        if not self._stopping:
            structlog.get_logger().error("child does not answer, killing it", child=self.name, said=found.value)
            self.signal(signal.SIGKILL)


async def _relay(stream: asyncio.StreamReader | None, handle: LineHandler | None) -> None:
    """Hand on each line; one longer than the reader's buffer comes in pieces."""
    while stream is not None and handle is not None:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as rest:
            if rest.partial:
                handle(rest.partial)
            return
        except asyncio.LimitOverrunError as overrun:
            line = await stream.readexactly(overrun.consumed)
        handle(line)


def _how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"signal {-code}"
