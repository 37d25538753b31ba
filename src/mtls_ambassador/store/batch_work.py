"""What is to be done of a batch, asked a few names at a time so that memory does not grow with the order."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.store.certificates import Status
from mtls_ambassador.store.pki_tables import certificate


@dataclass(frozen=True, slots=True)
class Finished:
    """What was made for one device of a batch."""

    name: str
    serial: int
    fingerprint: bytes
    spki_sha256: bytes
    not_before: dt.datetime
    not_after: dt.datetime
    done_at: dt.datetime
    image_sha256: bytes | None


_FINISHED = sa.select(*(certificate.c[item.name] for item in fields(Finished)))
_RESERVED = sa.select(certificate.c.name, certificate.c.serial)
# Written out and not bound, because only so does SQLite see that the index over what lives in a batch serves.
_LIVES = certificate.c.status != sa.literal_column("'void'")
_OPEN = certificate.c.status.in_([Status.RESERVED.value, Status.ISSUED.value])


def reserved(connection: sa.Connection, batch_id: int, names: Sequence[str]) -> dict[str, int]:
    """The serials of those of these names for which nothing was made yet."""
    is_reserved = certificate.c.status == Status.RESERVED.value
    rows = connection.execute(_of(_RESERVED, batch_id, names).where(is_reserved))
    return {row.name: row.serial for row in rows}


def finished(connection: sa.Connection, batch_id: int, names: Sequence[str]) -> dict[str, Finished]:
    """What was made for those of these names that are done."""
    is_done = certificate.c.status == Status.DONE.value
    return {row[0]: Finished(*row) for row in connection.execute(_of(_FINISHED, batch_id, names).where(is_done))}


def _of(statement: sa.Select[Any], batch_id: int, names: Sequence[str]) -> sa.Select[Any]:
    return statement.where(certificate.c.batch_id == batch_id, certificate.c.name.in_(names), _LIVES)


def count_open(connection: sa.Connection, batch_id: int) -> int:
    """How many of the batch are reserved or issued and not done."""
    count = sa.select(sa.func.count()).select_from(certificate)
    return connection.execute(count.where(certificate.c.batch_id == batch_id, _LIVES, _OPEN)).scalar_one()
