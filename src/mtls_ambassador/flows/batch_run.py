"""The loop of a batch: workers make devices and hand them over, and what is on the disk is marked done."""

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mtls_ambassador.flows.batch_outlet import Outlet
from mtls_ambassador.flows.batch_records import lots
from mtls_ambassador.flows.batch_workers import Deliver, Delivered, Made, Make, Maker, Reply, Task, Worker, Workers
from mtls_ambassador.pki.manifest import ImageNote
from mtls_ambassador.pki.order import Order, OrderRow

LOOK_UP = 128
"""Names looked up in the records at a time."""
DEPTH = 2
"""Lots a worker has at once: it makes one while the other is being recorded."""


class Records(Protocol):
    """What is to be done, and what is done."""

    def count_open(self) -> int:
        """How many are not done."""

    def reserved(self, rows: Sequence[OrderRow]) -> list[tuple[OrderRow, int]]:
        """Those of the rows that are to be made, each with a number that names it."""

    def mark_done(self, images: Mapping[int, bytes | None], now: dt.datetime) -> None:
        """What these numbers name is on the disk, each with the hash of its image if there is one."""


@dataclass(frozen=True, slots=True)
class Work:
    """Which devices, by what, and where they go."""

    order: Order
    outlet: Outlet
    """Where they go."""
    new_maker: Callable[[], Maker]
    """Sent to each worker."""
    jobs: int
    manifest: Path | None = None
    """Where the manifest goes once all is done; its signature goes beside it."""
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    on_progress: Callable[[int, int], None] = lambda done, total: None  # noqa: ARG005 - nobody looks
    is_stopped: Callable[[], bool] = lambda: False
    """Asked between lots: a stop is clean, and the next run goes on."""

    def note(self, name: str, image_sha256: bytes | None) -> ImageNote | None:
        """What the manifest says of a device's image."""
        if image_sha256 is None:
            return None
        golden = bytes.fromhex(self.outlet.facts["golden_sha256"])
        return ImageNote(self.outlet.file_of(name), image_sha256, golden)


@dataclass(slots=True)
class Outcome:
    """How it went."""

    batch: str
    batch_id: int
    quantity: int
    made: int = 0
    """By this run."""
    done_before: int = 0
    adopted: int = 0
    """Written by a run that was killed, found whole, and marked done now."""
    voided: int = 0
    """Recorded by a run that was killed and not found whole: revoked, and made anew."""
    was_stopped: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether every device ordered is done."""
        return self.done_before + self.adopted + self.made == self.quantity


@dataclass(slots=True)
class Run:
    """The loop that hands out work, records it, lets it be written and marks it done."""

    work: Work
    records: Records
    outcome: Outcome
    on_made: Callable[[list[Made]], None]
    """Told what is in the workers' memory, before they may let anything of it out."""
    written: dict[int, bytes | None] = field(default_factory=dict)
    """Serials whose files are written and perhaps not on disk yet, with the hashes of their images."""

    def go(self) -> None:
        """All of it, or until stopped."""
        lots_of_work = self._tasks()
        jobs = max(1, min(self.work.jobs, -(-self.records.count_open() // self.work.outlet.lot)))
        try:
            with Workers(jobs, self.work.new_maker) as workers:
                while self._hand_out(workers.all, lots_of_work):
                    self._take_in(list(workers.replies()))
            self.work.outlet.end()
        finally:
            # Even when a worker failed: what is written is done.
            self._mark_done()
        self.outcome.was_stopped = not self.outcome.is_finished

    def _tasks(self) -> Iterator[list[Task]]:
        """What is reserved and not made, a lot at a time, as long as nobody stops it."""
        size = self.work.outlet.lot
        tasks = (
            Task(row.name, serial, row.subject, row.identity, row.device_type)
            for rows in lots(self.work.order.rows(), LOOK_UP)
            for row, serial in self.records.reserved(rows)
        )
        for lot in lots(tasks, size):
            if self.work.is_stopped():
                return
            yield lot

    def _hand_out(self, workers: list[Worker], work: Iterator[list[Task]]) -> bool:
        """Give each worker what it has room for; False when nobody has anything to do any more."""
        for worker, lot in zip([w for n in range(DEPTH) for w in workers if w.held <= n], work, strict=False):
            worker.held += 1
            worker.send(Make(lot))
        return any(worker.held for worker in workers)

    def _take_in(self, replies: list[tuple[Worker, Reply]]) -> None:
        made = [(worker, reply) for worker, reply in replies if isinstance(reply, list)]
        if made:
            devices = list(itertools.chain.from_iterable(reply for _, reply in made))
            self.on_made(devices)
            for worker, reply in made:
                worker.made.append(reply)
                worker.send(Deliver())
        for worker, delivered in replies:
            if isinstance(delivered, Delivered):
                self._delivered(worker, delivered)

    def _delivered(self, worker: Worker, delivered: Delivered) -> None:
        self.work.outlet.receive(delivered)
        worker.held -= 1
        devices = worker.made.pop(0)
        images = delivered.images or (None,) * len(devices)
        self.written |= {device.serial: image for device, image in zip(devices, images, strict=True)}
        if len(self.written) >= self.work.outlet.barrier:
            self._mark_done()
        done = self.outcome.done_before + self.outcome.adopted + self.outcome.made + len(self.written)
        self.work.on_progress(done, self.outcome.quantity)

    def _mark_done(self) -> None:
        if not self.written:
            return
        self.work.outlet.sync()
        self.records.mark_done(self.written, self.work.clock())
        self.outcome.made += len(self.written)
        self.written.clear()
