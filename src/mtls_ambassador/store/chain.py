"""The chain that makes a changed audit visible: each row's hash covers the row and the hash of the one before it.

What is hashed must never change: rows of every age are verified with it. The chain has no key, so it shows a change
by somebody who cannot, or did not, hash anew all that follows; an anchor kept elsewhere shows that one too.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.store.tables import audit, audit_head

_encode = json.JSONEncoder(separators=(",", ":")).encode
GENESIS = bytes(32)
"""What stands before the first row."""
NAMES = (
    "at",
    "event",
    "reason",
    "detail",
    "identity_sha256",
    "identity",
    "auth_key_sha256",
    "certificate_serial",
    "certificate_subject",
    "certificate_issuer",
    "certificate_spki_sha256",
    "address",
    "request_id",
)
"""What of a row is hashed, in this order; a column added later is not, for old rows have none."""
# In the database's own words: each auth request pays for these two, and SQLAlchemy's would cost it three times as much.
_HOLD = {
    # Its transaction is the only one that writes anyway.
    "sqlite": "SELECT last_id, hash, (SELECT max(id) FROM audit) FROM audit_head",
    "postgresql": "SELECT last_id, hash, (SELECT max(id) FROM audit) FROM audit_head FOR UPDATE",
}
_MOVE = {
    "sqlite": "UPDATE audit_head SET last_id = ?, hash = ?",
    "postgresql": "UPDATE audit_head SET last_id = %s, hash = %s",
}


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the number of its last row, 0 for none, and that row's hash."""

    last_id: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.last_id}:{self.hash.hex()}"


def next_hash(previous: bytes, number: int, values: Mapping[Any, Any]) -> bytes:
    """SHA-256 over the hash before and the row as JSON: its number and its values, times in UTC."""
    at, *texts = (values[name] for name in NAMES)
    row = [number, at.astimezone(dt.UTC).isoformat(timespec="microseconds"), *texts]
    return hashlib.sha256(previous + _encode(row).encode()).digest()


def hold_head(connection: sa.Connection) -> Head:
    """The highest number and the hash to go on from; no other transaction may append until this one is over.

    A row that something else put in has a number too: it must not keep the gateway from writing, and `verify` names it.
    """
    last_id, own, highest = connection.exec_driver_sql(_HOLD[connection.dialect.name]).one()
    return Head(max(last_id, highest or 0), own)


def read_begin(connection: sa.Connection) -> Head:
    """What the chain's first row goes on from: nothing, or the last row that was pruned (`store.retention`)."""
    row = connection.execute(sa.select(audit_head.c.pruned_id, audit_head.c.pruned_hash)).one()
    return Head(row.pruned_id, row.pruned_hash or GENESIS)


def move_head(connection: sa.Connection, head: Head) -> None:
    """The chain ends here now."""
    connection.exec_driver_sql(_MOVE[connection.dialect.name], (head.last_id, head.hash))


def start(connection: sa.Connection) -> None:
    """The head of an audit without rows."""
    connection.execute(sa.insert(audit_head), {"one": 1, "last_id": 0, "hash": GENESIS})


def chain_old_rows(connection: sa.Connection) -> None:
    """Chain the rows of an audit that had no chain, with the numbers they have."""
    start(connection)
    head = Head(0, GENESIS)
    columns = [audit.c.id, *(audit.c[name] for name in NAMES)]
    page = sa.select(*columns).order_by(audit.c.id).limit(1000)
    update = sa.update(audit).where(audit.c.id == sa.bindparam("number")).values(hash=sa.bindparam("own"))
    while rows := connection.execute(page.where(audit.c.id > head.last_id)).mappings().all():
        values = []
        for row in rows:
            head = Head(row["id"], next_hash(head.hash, row["id"], row))
            values.append({"number": head.last_id, "own": head.hash})
        connection.execute(update, values)
    move_head(connection, head)
