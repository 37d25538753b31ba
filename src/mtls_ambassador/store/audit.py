"""One row for every decision, never changed, and chained so that a change shows."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mtls_ambassador.model.storable import storable
from mtls_ambassador.store.chain import GENESIS, NAMES, Head, hold_head, move_head, next_hash, read_begin
from mtls_ambassador.store.tables import audit, audit_head

PAGE = 1000
REWRITTEN = "row {} is not the one that was noted: the audit was rewritten"
_INSERT = sa.insert(audit)
_LENGTHS = {column.name: getattr(column.type, "length", None) or 1024 for column in audit.c}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What was decided, about whom, for whom; texts a device sent are cut, so that no row grows past reason."""

    at: dt.datetime
    event: str
    reason: str
    detail: str = ""
    identity_sha256: str = ""
    identity: str = ""
    auth_key_sha256: str = ""
    certificate_serial: str = ""
    certificate_subject: str = ""
    certificate_issuer: str = ""
    certificate_spki_sha256: str = ""
    address: str = ""
    request_id: str = ""


def append(connection: sa.Connection, entry: AuditEntry) -> None:
    """Write one entry in the caller's transaction: what it tells of is committed with it or not at all."""
    append_all(connection, [entry])


def append_all(connection: sa.Connection, entries: Iterable[AuditEntry]) -> None:
    """Write entries, in their order, in the caller's transaction."""
    head = hold_head(connection)
    rows = []
    for entry in entries:
        row = {name: _cut(name, getattr(entry, name)) for name in NAMES}
        head = Head(head.last_id + 1, next_hash(head.hash, head.last_id + 1, row))
        rows.append(row | {"id": head.last_id, "hash": head.hash})
    if rows:
        connection.execute(_INSERT, rows if len(rows) > 1 else rows[0])  # one alone is a third cheaper
        move_head(connection, head)


def _cut(name: str, value: object) -> object:
    """A text as the column takes it: PostgreSQL refuses one that is too long, has a NUL, or is no Unicode."""
    if not isinstance(value, str):
        return value
    return storable(value[: _LENGTHS[name]])


def read_all(connection: sa.Connection) -> list[AuditEntry]:
    """Every entry, oldest first."""
    return [entry for _, entry in read(connection)]


def read(connection: sa.Connection, since: dt.datetime | None = None) -> Iterator[tuple[int, AuditEntry]]:
    """Each entry with its number, oldest first, a page at a time."""
    statement = sa.select(audit.c.id, *(audit.c[name] for name in NAMES)).order_by(audit.c.id).limit(PAGE)
    if since is not None:
        statement = statement.where(audit.c.at >= since)
    last = 0
    while rows := connection.execute(statement.where(audit.c.id > last)).all():
        yield from ((row[0], AuditEntry(*row[1:])) for row in rows)
        last = rows[-1][0]


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """Whether the audit is what was written."""

    rows: int
    """Rows found whole, up to the first that is not."""
    head: Head
    """Where the audit says it ends; worth keeping elsewhere."""
    fault: str = ""
    """What is wrong first, naming the row; empty when nothing is."""


def verify(connection: sa.Connection, anchors: Sequence[Head] = ()) -> AuditVerdict:
    """Go through the chain: finds a row changed, removed, inserted or moved, and rows cut off at the end.

    An anchor is a head of this audit noted earlier and kept elsewhere: the row must be there still, with that hash.
    """
    end = _read_head(connection)
    if end is None:
        return AuditVerdict(0, Head(0, GENESIS), "the head of the audit is missing")
    at = read_begin(connection)
    noted = {anchor.last_id: anchor for anchor in anchors if anchor.last_id > at.last_id}
    if any(anchor.last_id == at.last_id and anchor.hash != at.hash for anchor in anchors):
        return AuditVerdict(0, end, REWRITTEN.format(at.last_id))
    return _walk(connection, at, end, noted)


def _walk(connection: sa.Connection, at: Head, end: Head, noted: dict[int, Head]) -> AuditVerdict:
    rows = 0
    for row in _chained(connection):
        at = Head(row["id"], next_hash(at.hash, row["id"], row))
        if row["hash"] != at.hash:
            return AuditVerdict(rows, end, _broken(row, rows))
        if noted.pop(at.last_id, at).hash != at.hash:
            return AuditVerdict(rows, end, REWRITTEN.format(at.last_id))
        rows += 1
    noted.pop(0, None)
    if at != end:
        return AuditVerdict(rows, end, f"rows are missing at the end: the last is {at.last_id}, not {end.last_id}")
    if noted:
        return AuditVerdict(rows, end, f"row {min(noted)} was noted and is not there: an older state was restored")
    return AuditVerdict(rows, end)


def _read_head(connection: sa.Connection) -> Head | None:
    row = connection.execute(sa.select(audit_head.c.last_id, audit_head.c.hash)).one_or_none()
    return Head(*row) if row else None


def head(connection: sa.Connection) -> Head:
    """Where the audit ends now."""
    return _read_head(connection) or Head(0, GENESIS)


def _chained(connection: sa.Connection) -> Iterator[sa.RowMapping]:
    statement = sa.select(*(column for column in audit.c)).order_by(audit.c.id).limit(PAGE)
    last = 0
    while rows := connection.execute(statement.where(audit.c.id > last)).mappings().all():
        yield from rows
        last = rows[-1]["id"]


def _broken(row: sa.RowMapping, before: int) -> str:
    place = f"row {row['id']} ({row['at']:%Y-%m-%d %H:%M:%S} {row['event']})"
    if row["hash"] is None:
        return f"{place} has no hash: it was inserted by something else"
    return f"{place} is not what was written, or a row between it and the {before} before it was removed or inserted"
