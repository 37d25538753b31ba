"""Processes that make device certificates, and the words they and their parent exchange.

Work goes in two steps, so that nothing leaves a process's memory before it is recorded: a worker makes keys and
certificates and tells the certificates; once the parent has recorded them it says so, and the worker writes the files.
"""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from mtls_ambassador.model.errors import AmbassadorError


class Task(NamedTuple):
    """A device to make, under a serial that is recorded. A tuple, like Made: dataclasses take long to pickle."""

    name: str
    serial: int
    subject: tuple[tuple[str, str], ...]
    identity: tuple[tuple[str, str], ...] = ()
    device_type: str = ""


class Made(NamedTuple):
    """A certificate that is in a worker's memory and nowhere else."""

    name: str
    serial: int
    der: bytes
    spki_sha256: bytes
    fingerprint: bytes
    subject: str
    shape: str
    """Certificates of one shape differ in nothing a linter looks at."""


@dataclass(frozen=True, slots=True)
class Make:
    """To a worker: make these."""

    tasks: list[Task]


@dataclass(frozen=True, slots=True)
class Deliver:
    """To a worker: what it made first of what it holds is recorded and may leave."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """From a worker: the files are written, or here is what goes into the stream."""

    stream: bytes = field(default=b"", repr=False)
    images: tuple[bytes, ...] = ()
    """SHA-256 of each device's image, when devices get images."""


@dataclass(frozen=True, slots=True)
class Failed:
    """From a worker: it cannot go on, and why."""

    reason: str


Reply = list[Made] | Delivered | Failed


class Maker(Protocol):
    """What a worker does, in its process."""

    def make(self, tasks: list[Task]) -> list[Made]:
        """Make and hold them."""

    def deliver(self) -> Delivered:
        """Write out what was made first."""


@dataclass(eq=False, slots=True)
class Worker:
    """The parent's end of one process."""

    process: BaseProcess
    connection: Connection
    held: int = 0
    """Lots of work it has and has not delivered."""
    made: list[list[Made]] = field(default_factory=list)
    """Told and not yet delivered, first made first."""

    def send(self, message: Make | Deliver) -> None:
        """Never blocks for long: a thread over there takes in whatever comes."""
        try:
            self.connection.send(message)
        except OSError:
            raise AmbassadorError("a worker process ended early; run the same command again to go on") from None


class Workers:
    """Some processes, each with the same Maker; leaving the context ends them."""

    def __init__(self, count: int, new_maker: Callable[[], Maker]) -> None:
        self._context = multiprocessing.get_context("spawn")
        self.all = [self._start(new_maker) for _ in range(count)]

    def _start(self, new_maker: Callable[[], Maker]) -> Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, new_maker), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def replies(self) -> Iterator[tuple[Worker, Reply]]:
        """Whatever has come, after waiting for at least one. Raises AmbassadorError when a worker failed or died."""
        by_connection = {worker.connection: worker for worker in self.all}
        for ready in wait(list(by_connection)):
            worker = by_connection[ready]  # type: ignore[index]  # wait gives back what it was given
            try:
                reply: Reply = worker.connection.recv()
            except (EOFError, OSError):
                raise AmbassadorError("a worker process ended early; run the same command again to go on") from None
            if isinstance(reply, Failed):
                raise AmbassadorError(reply.reason)
            yield worker, reply

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.all:
            worker.connection.close()
        for worker in self.all:
            worker.process.join()


def work(connection: Connection, new_maker: Callable[[], Maker]) -> None:
    """A worker's life: until its parent closes the connection or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    messages: queue.SimpleQueue[Make | Deliver] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, messages), daemon=True).start()
    try:
        maker = new_maker()
        while True:
            message = messages.get()
            connection.send(maker.make(message.tasks) if isinstance(message, Make) else maker.deliver())
    except Exception as error:  # noqa: BLE001 - the parent tells the user, and stops
        reason = str(error) if isinstance(error, AmbassadorError) else f"a worker process failed: {error!r}"
        with suppress(OSError):
            connection.send(Failed(reason))


def _receive(connection: Connection, messages: "queue.SimpleQueue[Make | Deliver]") -> None:
    """Take in all that comes, so that parent and worker never wait for each other to read."""
    try:
        while True:
            messages.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)  # the parent is done or dead: what is in memory must not leave any more
