"""A batch: as many device certificates as were ordered, none twice, whatever happens meanwhile.

Order of work, each step on disk before the next: all serials are reserved in one transaction; certificates are made in
memory; they are recorded; files are written; one barrier makes the files durable; the records are marked done. So a
certificate that left memory has a record, and a run that was killed is finished by the next one: what it recorded and
did not write out is void and revoked, and made again under a new serial.
"""

import datetime as dt
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.flows.batch_files import Found
from mtls_ambassador.flows.batch_maker import Recipe, example
from mtls_ambassador.flows.batch_manifest import write_manifest
from mtls_ambassador.flows.batch_outlet import Outlet
from mtls_ambassador.flows.batch_records import BatchRecords, lots
from mtls_ambassador.flows.batch_workers import Deliver, Delivered, Made, Make, Reply, Task, Worker, Workers
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.manifest import ImageNote
from mtls_ambassador.pki.order import Order

LOOK_UP = 128
"""Names looked up in the records at a time."""
DEPTH = 2
"""Lots a worker has at once: it makes one while the other is being recorded."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """What to make, and where it goes."""

    order: Order
    name: str
    """The batch's name."""
    recipe: Recipe
    outlet: Outlet
    """Where it goes."""
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


def provision(records: BatchRecords, authority: Authority, ordered: Ordered, lint: Callable[[bytes], None]) -> Outcome:
    """Make what of the order is not made yet. `lint` raises when a certificate may not leave.

    Raises AmbassadorError when something failed; the same call again goes on from there.
    """
    checked = example(authority, ordered.recipe, next(ordered.order.rows()).name)
    lint(checked.public_bytes(Encoding.DER))
    digest = digest_of(ordered)
    with records.lock(digest):
        if not records.is_known(ordered.name, digest):
            ordered.outlet.refuse_strangers()
        is_new = records.open(ordered.name, ordered.order, digest)
        outcome = Outcome(records.batch.name, records.batch.id, records.batch.quantity)
        if not is_new:
            _recover(records, ordered, outcome)
        outcome.done_before = outcome.quantity - records.count_open() - outcome.adopted
        if not outcome.is_finished:
            _Run(records, ordered, outcome, lint).go()
        if outcome.is_finished:
            _hand_over(records, authority, ordered)
        return outcome


def digest_of(ordered: Ordered) -> bytes:
    """What makes two orders the same one: the devices, and what their certificates say; not how long it takes."""
    recipe = ordered.recipe
    said = {
        "order": ordered.order.digest.hex(),
        "subject": recipe.profile.subject,
        "san_uri": recipe.profile.san_uri,
        "days": recipe.profile.days,
        "key": recipe.kind.value,
        **ordered.outlet.facts,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def _hand_over(records: BatchRecords, authority: Authority, ordered: Ordered) -> None:
    """Write the manifest, unless an earlier run did and it is still there."""
    path = ordered.manifest
    is_told = records.batch.finished_at is not None
    if path is not None and not (is_told and path.exists()):
        written = write_manifest(records, ordered.order, path, authority.key, ordered.note)
        records.finish(written, ordered.clock())
    elif not is_told:
        records.finish(None, ordered.clock())


def _recover(records: BatchRecords, ordered: Ordered, outcome: Outcome) -> None:
    """Settle what a run that was killed has recorded and not marked done."""
    whole: dict[int, bytes | None] = {}
    lost = []
    for record in records.issued():
        found, image = ordered.outlet.look(record.name, record.fingerprint or b"", record.spki_sha256 or b"")
        if found is Found.WHOLE:
            whole[record.serial] = image
        elif found is Found.OTHER:
            raise AmbassadorError(f"{record.name}: holds a certificate or key that is not of this batch")
        else:
            lost.append(record)
    # Before they are void: a kill between must leave nothing in the way of the device made anew.
    for record in lost:
        ordered.outlet.remove_part(record.name)
    ordered.outlet.sync()
    records.void(lost, ordered.clock())
    records.mark_done(whole, ordered.clock())
    outcome.adopted, outcome.voided = len(whole), len(lost)


@dataclass(slots=True)
class _Run:
    """The loop that hands out work, records it, lets it be written and marks it done."""

    records: BatchRecords
    ordered: Ordered
    outcome: Outcome
    lint: Callable[[bytes], None]
    written: dict[int, bytes | None] = field(default_factory=dict)
    """Serials whose files are written and perhaps not on disk yet, with the hashes of their images."""
    shapes: set[str] = field(default_factory=set)

    def go(self) -> None:
        """All of it, or until stopped."""
        work = self._work()
        jobs = max(1, min(self.ordered.jobs, -(-self.records.count_open() // self.ordered.outlet.lot)))
        try:
            with Workers(jobs, self.ordered.recipe) as workers:
                while self._hand_out(workers.all, work):
                    self._take_in(list(workers.replies()))
            self.ordered.outlet.end()
        finally:
            # Even when a worker failed: what is written is done.
            self._mark_done()
        self.outcome.was_stopped = not self.outcome.is_finished

    def _work(self) -> Iterator[list[Task]]:
        """What is reserved and not made, a lot at a time, as long as nobody stops it."""
        size = self.ordered.outlet.lot
        tasks = (
            Task(row.name, serial, row.subject, row.identity, row.device_type)
            for rows in lots(self.ordered.order.rows(), LOOK_UP)
            for row, serial in self.records.reserved(rows)
        )
        for lot in lots(tasks, size):
            if self.ordered.is_stopped():
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
            self._check(devices)
            self.records.mark_issued(devices, self.ordered.recipe.validity)
            for worker, reply in made:
                worker.made.append(reply)
                worker.send(Deliver())
        for worker, delivered in replies:
            if isinstance(delivered, Delivered):
                self._delivered(worker, delivered)

    def _check(self, devices: list[Made]) -> None:
        for device in devices:
            if device.shape not in self.shapes:
                self.lint(device.der)
                self.shapes.add(device.shape)

    def _delivered(self, worker: Worker, delivered: Delivered) -> None:
        self.ordered.outlet.receive(delivered)
        worker.held -= 1
        devices = worker.made.pop(0)
        images = delivered.images or (None,) * len(devices)
        self.written |= {device.serial: image for device, image in zip(devices, images, strict=True)}
        if len(self.written) >= self.ordered.outlet.barrier:
            self._mark_done()
        done = self.outcome.done_before + self.outcome.adopted + self.outcome.made + len(self.written)
        self.ordered.on_progress(done, self.outcome.quantity)

    def _mark_done(self) -> None:
        if not self.written:
            return
        self.ordered.outlet.sync()
        self.records.mark_done(self.written, self.ordered.clock())
        self.outcome.made += len(self.written)
        self.written.clear()
