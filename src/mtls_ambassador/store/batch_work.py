"""What is to be done of a batch, asked a few names at a time so that memory does not grow with the order."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields

import sqlalchemy as sa

from mtls_ambassador.store.certificates import Status
from mtls_ambassador.store.pki_tables import certificate


@dataclass(frozen=True, slots=True)
class Place:
    """One device's place in its batch; what comes with signing is None before that."""

    name: str
    serial: int
    status: Status
    reserved_at: dt.datetime
    done_at: dt.datetime | None
    not_before: dt.datetime | None
    not_after: dt.datetime | None
    spki_sha256: bytes | None
    fingerprint: bytes | None


_COLUMNS = [certificate.c[item.name] for item in fields(Place)]
# Written out and not bound, because only so does SQLite see that the index over what lives in a batch serves.
_LIVES = certificate.c.status != sa.literal_column("'void'")
_OPEN = certificate.c.status.in_([Status.RESERVED.value, Status.ISSUED.value])


def places(connection: sa.Connection, batch_id: int, names: Sequence[str]) -> dict[str, Place]:
    """The place of each of these names in the batch; those that have none are left out."""
    statement = sa.select(*_COLUMNS).where(certificate.c.batch_id == batch_id, certificate.c.name.in_(names), _LIVES)
    rows = connection.execute(statement).mappings()
    return {row["name"]: Place(**{**row, "status": Status(row["status"])}) for row in rows}


def count_open(connection: sa.Connection, batch_id: int) -> int:
    """How many of the batch are reserved or issued and not done."""
    count = sa.select(sa.func.count()).select_from(certificate)
    return connection.execute(count.where(certificate.c.batch_id == batch_id, _LIVES, _OPEN)).scalar_one()


def count(connection: sa.Connection, batch_id: int) -> int:
    """How many of the batch are not void: never more than its quantity."""
    counted = sa.select(sa.func.count()).select_from(certificate)
    return connection.execute(counted.where(certificate.c.batch_id == batch_id, _LIVES)).scalar_one()
