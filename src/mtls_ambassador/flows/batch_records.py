"""What a batch writes into the store and the journal, and the lock that only one process works at it."""

import datetime as dt
import fcntl
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from mtls_ambassador.flows.batch_workers import Made
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import Revocation, RevocationReason, serial_hex
from mtls_ambassador.pki.issue import Validity
from mtls_ambassador.pki.journal import Journal
from mtls_ambassador.pki.manifest import ImageNote, Line
from mtls_ambassador.pki.order import Order, OrderRow
from mtls_ambassador.pki.serial import new_serial
from mtls_ambassador.store import audit, batch_work, batches, certificates, revocations
from mtls_ambassador.store.batches import Batch
from mtls_ambassador.store.certificates import Filter, Issued, Record, Reservation, Status
from mtls_ambassador.store.database import Database

T = TypeVar("T")
RESERVE_LOT = 5000
PROFILE = "device"
_BUSY = "another process is at work on this batch; wait for it, or run this again when it is over"


def lots(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items."""
    rest = iter(items)
    while lot := list(itertools.islice(rest, size)):
        yield lot


class BatchRecords:
    """The records of one order at one CA."""

    def __init__(self, database: Database, pki_dir: Path, issuer_sha256: bytes, by: str, now: dt.datetime) -> None:
        self._database = database
        self._pki_dir = pki_dir
        self._issuer = issuer_sha256
        self._by = by
        self._now = now
        self._batch: Batch | None = None

    @property
    def batch(self) -> Batch:
        """The batch, once opened."""
        if self._batch is None:
            raise RuntimeError("open it first")
        return self._batch

    @contextmanager
    def lock(self, digest: bytes) -> Iterator[None]:
        """One process at a time works at an order; its lock dies with it. Raises AmbassadorError if it is held."""
        with ExitStack() as held:
            held.enter_context(_file_lock(self._pki_dir / f".batch-{digest.hex()[:32]}.lock"))
            if self._database.engine.dialect.name == "postgresql":
                held.enter_context(_database_lock(self._database.engine, int.from_bytes(digest[:8], signed=True)))
            yield

    def open(self, name: str, order: Order, digest: bytes) -> bool:
        """Find the order's batch, or make it and reserve a serial for each device, all in one transaction.

        Returns whether it was made. Raises AmbassadorError when another order has the name.
        """
        quantity = order.quantity
        with self._database.transaction() as connection:
            self._batch, is_new = batches.open_batch(connection, name, digest, self._issuer, quantity, self._now)
            if is_new:
                self._reserve(connection, (row.name for row in order.rows()))
                self._tell(connection, "batch-ordered", f"{quantity} devices, order {digest.hex()}")
        return is_new

    def is_known(self, name: str, digest: bytes) -> bool:
        """Whether this order was begun before. Raises AmbassadorError when another order has the name."""
        with self._database.snapshot() as connection:
            if batches.find_by_order(connection, self._issuer, digest) is not None:
                return True
            for other in batches.find_by_name(connection, name):
                if other.issuer_sha256 == self._issuer:
                    raise AmbassadorError(
                        f"batch {name!r} of {other.created_at:%Y-%m-%d %H:%M} had another order: the file, the names or"
                        " the certificates' fields have changed since; put the order back, or give the new one another"
                        " --batch NAME"
                    )
        return False

    def _reserve(self, connection: sa.Connection, names: Iterable[str]) -> None:
        for lot in lots(names, RESERVE_LOT):
            rows = [Reservation(new_serial(), self._issuer, name, PROFILE, self.batch.id, self._now) for name in lot]
            certificates.reserve(connection, rows)

    def count_open(self) -> int:
        """How many are not done."""
        with self._database.snapshot() as connection:
            return batch_work.count_open(connection, self.batch.id)

    def issued(self) -> list[Record]:
        """Recorded and not done: as few as a run has in work at once."""
        with self._database.snapshot() as connection:
            wanted = Filter(batch_id=self.batch.id, status=Status.ISSUED)
            return list(certificates.select(connection, wanted))

    def reserved(self, rows: Sequence[OrderRow]) -> list[tuple[OrderRow, int]]:
        """Those of the rows that are to be made, with their serials."""
        with self._database.snapshot() as connection:
            serials = batch_work.reserved(connection, self.batch.id, [row.name for row in rows])
        return [(row, serials[row.name]) for row in rows if row.name in serials]

    def lines(self, rows: Sequence[OrderRow], note: Callable[[str, bytes | None], ImageNote | None]) -> Iterator[Line]:
        """What was made for the rows, for the manifest; `note` says what stands there of an image.

        Fails closed: KeyError when one is not done.
        """
        with self._database.snapshot() as connection:
            found = batch_work.finished(connection, self.batch.id, [row.name for row in rows])
        for row in rows:
            made = found[row.name]
            dates = made.not_before, made.not_after, made.done_at
            image = note(row.name, made.image_sha256)
            hashes = made.fingerprint, made.spki_sha256
            yield Line(row.name, made.serial, *hashes, *dates, row.identity, row.device_type, image)

    def mark_issued(self, devices: Sequence[Made], validity: Validity) -> None:
        """Record certificates before they leave their makers' memory."""
        rows = [
            Issued(
                device.serial,
                self._issuer,
                device.der,
                device.spki_sha256,
                device.fingerprint,
                device.subject,
                validity.not_before,
                validity.not_after,
            )
            for device in devices
        ]
        with self._database.transaction() as connection:
            certificates.mark_issued(connection, rows)

    def mark_done(self, images: Mapping[int, bytes | None], now: dt.datetime) -> None:
        """The files of these serials are on disk, each with the hash of its image if there is one."""
        keys = [(self._issuer, serial) for serial in images]
        hashes = {(self._issuer, serial): image for serial, image in images.items() if image is not None}
        with self._database.transaction() as connection:
            certificates.mark_done(connection, keys, now, hashes)

    def void(self, lost: Sequence[Record], now: dt.datetime) -> None:
        """Revoke certificates whose key is lost, and reserve new serials for their devices."""
        if not lost:
            return
        note = f"key lost in a crash of batch {self.batch.name}"
        revoked = [
            Revocation(self._issuer, item.serial, RevocationReason.SUPERSEDED, now, self._by, note, item.not_after)
            for item in lost
        ]
        Journal(self._pki_dir).revoked(revoked)
        with self._database.transaction() as connection:
            certificates.mark_void(connection, [item.key for item in lost], now)
            revocations.revoke(connection, revoked)
            self._reserve(connection, (item.name for item in lost))
            for item in lost:
                self._tell(connection, "batch-void", f"{item.name}: {note}", serial_hex(item.serial))

    def finish(self, manifest_sha256: bytes | None, now: dt.datetime) -> None:
        """All that was ordered is done, and the manifest, if one was wanted, written."""
        told = f"manifest {manifest_sha256.hex()}" if manifest_sha256 else "no manifest"
        with self._database.transaction() as connection:
            batches.finish(connection, self.batch.id, manifest_sha256 or b"", now)
            self._tell(connection, "batch-done", told)

    def _tell(self, connection: sa.Connection, event: str, detail: str, serial: str = "") -> None:
        text = f"batch {self.batch.name} by {self._by}: {detail}"
        entry = audit.AuditEntry(
            self._now, event, "", text, certificate_serial=serial, certificate_issuer=self._issuer.hex()
        )
        audit.append(connection, entry)


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Held by one process of this machine; the file goes with the lock, and a killed process's file does no harm."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AmbassadorError(_BUSY) from None
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                yield
                path.unlink()
                return
        finally:
            os.close(descriptor)


@contextmanager
def _database_lock(engine: sa.Engine, number: int) -> Iterator[None]:
    """Held by one process of all machines that use this PostgreSQL."""
    with engine.connect() as connection:
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(number))).scalar_one():
            raise AmbassadorError(_BUSY)
        connection.commit()
        try:
            yield
        finally:
            connection.invalidate()  # the lock ends with the session, which the pool would keep
