"""What happens at the gateway, kept within bounds: refusals with their count, last contacts, counts over time.

Everybody may make handshakes fail. So refusals alike within a minute are one row; of a minute only so many rows are
kept, and what is more goes into one row for each cause, without an address: the count is never lost.
"""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
import structlog

from mtls_ambassador.flows.live import Live
from mtls_ambassador.model.fleet_view import Contact
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.model.refusal import Refusal, RefusalKind
from mtls_ambassador.settings import Limits
from mtls_ambassador.store import ledger as table
from mtls_ambassador.store import retention
from mtls_ambassador.store.audit import AuditEntry
from mtls_ambassador.store.database import Database

log = structlog.get_logger("ledger")
ROWS_PER_MINUTE = 600
CONTACTS_WAITING = 50_000
"""Certificates whose contact waits for the store; of more, the count alone is kept."""
WRITE_EVERY = 2.0
"""Seconds."""
PORTION = 500
"""Rows a transaction, so that no auth request waits long."""
CLEAN_EVERY = 600.0
PAUSE = 0.05
TOLD_PER_WRITE = 50
"""Happenings told to those who look, between two writes."""
_NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LATE = dt.timedelta(minutes=5)
"""What is told of an earlier minute, by so much, counts for the one that runs; by more, the clock was set back."""
KINDS = {
    RefusalKind.HANDSHAKE: "handshakes",
    RefusalKind.CALL: "denied-calls",
    RefusalKind.AUTH_REQUEST: "auth-requests",
}


@dataclass(slots=True)
class _Row:
    """Refusals alike of this minute."""

    refusal: Refusal
    waiting: int = 0
    """Not written yet."""


@dataclass(slots=True)
class Ledger:
    """One for the life of the service; `keep` writes it down."""

    now: Callable[[], dt.datetime]
    live: Live = field(default_factory=Live)
    totals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and name, since the start: for metrics."""
    lost: int = 0
    """Lines of Envoy's that the supervisor could not hand over."""
    taken: int = 0
    """Lines that it did hand over, since the start."""
    written: int = 0
    """Those of them that stand in the store."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set anew, as another event, each time that more of them do."""
    _minute: dt.datetime = _NEVER
    _rows: dict[tuple[str, ...], _Row] = field(default_factory=dict)
    _done: list[_Row] = field(default_factory=list)
    """Of minutes that are over."""
    _counts: Counter[tuple[dt.datetime, str, str]] = field(default_factory=Counter)
    _contacts: dict[str, Contact] = field(default_factory=dict)
    _told: int = 0
    _is_writing: bool = False
    """Rows that are being written are not put together meanwhile: their count would be written twice."""

    def refused(self, refusal: Refusal) -> bool:
        """Note a refusal; whether it is the first of its kind in this minute, which alone is worth a line of a log."""
        self._turn(refusal.at)
        self._count(KINDS[refusal.kind], refusal.cause, refusal.count)
        who = refusal.fingerprint_sha256 or refusal.spki_sha256
        key: tuple[str, ...] = (refusal.kind, refusal.cause, refusal.address, who, refusal.identity_sha256)
        row = self._rows.get(key)
        if row is None and len(self._rows) >= ROWS_PER_MINUTE:
            refusal = Refusal(refusal.first_at, refusal.at, refusal.kind, refusal.cause, count=refusal.count)
            key = (refusal.kind, refusal.cause)
            row = self._rows.get(key)
        if row is not None:
            row.waiting += refusal.count
            row.refusal = replace(row.refusal, at=refusal.at)
            return False
        self._rows[key] = _Row(refusal, refusal.count)
        self._tell("refusal", refusal_kind=refusal.kind.value, cause=refusal.cause, address=refusal.address)
        return len(key) > 2  # noqa: PLR2004 - what was put together is no news

    def granted(self, reason: Reason, identity_sha256: str) -> None:
        """Note an auth request that was granted."""
        self._turn(self.now())
        self._count("auth-requests", reason.code, 1)
        if reason is not Reason.KNOWN:
            self._tell("decision", reason=reason.code, identity_sha256=identity_sha256)

    def turned_away(self, entry: AuditEntry, reason: Reason) -> bool:
        """Note an auth request that was not granted; whether it is worth a line, as `refused` says."""
        return self.refused(
            Refusal(
                entry.at,
                entry.at,
                RefusalKind.AUTH_REQUEST,
                reason.code,
                entry.detail,
                address=entry.address,
                serial=entry.certificate_serial,
                subject=entry.certificate_subject,
                issuer=entry.certificate_issuer,
                spki_sha256=entry.certificate_spki_sha256,
                identity_sha256=entry.identity_sha256,
                identity=entry.identity,
                request_id=entry.request_id,
            )
        )

    def met(self, contact: Contact) -> None:
        """Note a connection that a certificate finished the handshake of."""
        before = self._contacts.get(contact.fingerprint_sha256)
        if before is not None:
            first_at = min(before.first_at, contact.first_at)
            contact = replace(contact, first_at=first_at, connections=before.connections + contact.connections)
            if before.at > contact.at:  # what waited for a store that failed comes after what came since
                contact = replace(contact, at=before.at, address=before.address, tls_version=before.tls_version)
        elif len(self._contacts) >= CONTACTS_WAITING:
            return
        self._contacts[contact.fingerprint_sha256] = contact

    def counted(self, kind: str, number: int) -> None:
        """Note so many connections or calls."""
        if number > 0:
            self._turn(self.now())
            self._count(kind, "", number)

    async def keep(self, database: Database, limits: Limits) -> None:
        """Write for ever; a store that fails loses nothing but what no longer fits."""
        clock = asyncio.get_running_loop().time
        clean_at, is_failing = clock() + CLEAN_EVERY / 10, False
        while True:
            await asyncio.sleep(WRITE_EVERY)
            try:
                await self.write(database)
                if clock() >= clean_at:
                    clean_at = clock() + CLEAN_EVERY
                    await clean(database, limits, self.now)
                is_failing = False
            except RefusedError as error:
                if not is_failing:
                    log.error("ledger not written, trying again", error=str(error))  # noqa: TRY400 - no traceback
                is_failing = True

    async def write(self, database: Database) -> None:
        """Everything that waits, in portions. Raises RefusedError; what was not written waits on."""
        taken = self.taken
        await self._write_all(database)
        self.written = taken
        self.news.set()
        self.news = asyncio.Event()

    async def _write_all(self, database: Database) -> None:
        self._turn(self.now())
        self._told = 0
        rows = [row for row in (*self._done, *self._rows.values()) if row.waiting]
        self._is_writing = True
        try:
            for begin in range(0, len(rows), PORTION):
                await self._write_rows(database, rows[begin : begin + PORTION])
        finally:
            self._is_writing = False
            self._done = [row for row in self._done if row.waiting]
        contacts, self._contacts = self._contacts, {}
        waiting = list(contacts.values())
        try:
            while waiting:
                await database.run(lambda c: table.touch(c, waiting[:PORTION]))
                del waiting[:PORTION]
        finally:
            for contact in waiting:
                self.met(contact)
        counts, self._counts = self._counts, Counter()
        try:
            await database.run(lambda c: table.count(c, counts))
        except BaseException:
            self._counts.update(counts)
            raise

    async def _write_rows(self, database: Database, rows: list[_Row]) -> None:
        new = [row for row in rows if not row.refusal.number]
        items = [replace(row.refusal, count=row.waiting) for row in new]
        more = {row.refusal.number: (row.waiting, row.refusal.at) for row in rows if row.refusal.number}
        written = [(row, row.waiting) for row in rows]

        def work(connection: sa.Connection) -> list[int]:
            table.add_to(connection, more)
            return table.add(connection, items)

        numbers = await database.run(work)
        for row, number in zip(new, numbers, strict=True):
            row.refusal = replace(row.refusal, number=number)
        for row, count in written:
            row.waiting -= count

    def _turn(self, at: dt.datetime) -> None:
        """Begin a new minute when it is there. Of those whose store fails, what is too much loses all but its cause."""
        minute = at.replace(second=0, microsecond=0)
        if self._minute - LATE < minute <= self._minute:
            return
        self._minute = minute
        self._done += [row for row in self._rows.values() if row.waiting]
        self._rows = {}
        if len(self._done) > 2 * ROWS_PER_MINUTE and not self._is_writing:
            self._done = _put_together(self._done)

    def _count(self, kind: str, name: str, number: int) -> None:
        self.totals[kind, name] += number
        self._counts[self._minute, kind, name] += number

    def _tell(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - as Live takes them
        self._told += 1
        if self._told <= TOLD_PER_WRITE:
            self.live.publish(kind, **fields)


def _put_together(rows: list[_Row]) -> list[_Row]:
    """One row for each cause; written ones keep theirs."""
    kept = {}
    for row in rows:
        item = row.refusal
        key = item.number or (item.kind, item.cause)
        if key not in kept:
            bare = item if item.number else Refusal(item.first_at, item.at, item.kind, item.cause)
            kept[key] = _Row(bare)
        kept[key].waiting += row.waiting
        kept[key].refusal = replace(kept[key].refusal, at=item.at)
    return list(kept.values())[-2 * ROWS_PER_MINUTE :]


async def clean(database: Database, limits: Limits, now: Callable[[], dt.datetime]) -> None:
    """Drop what is over, with a pause after each portion."""
    gone = 1
    while gone:
        gone = await database.run(lambda c: retention.drop(c, limits, now()))
        await asyncio.sleep(PAUSE)
