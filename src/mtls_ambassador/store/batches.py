"""Batches: one for each order and CA. Each function works in the caller's transaction."""

import datetime as dt
from dataclasses import dataclass, fields

import sqlalchemy as sa

from mtls_ambassador.store.pki_tables import batch


@dataclass(frozen=True, slots=True)
class Batch:
    """An order and how far it got."""

    id: int
    name: str
    order_sha256: bytes
    issuer_sha256: bytes
    """SHA-256 of the CA's SPKI in DER."""
    quantity: int
    created_at: dt.datetime
    finished_at: dt.datetime | None
    manifest_sha256: bytes | None


_BATCH = sa.select(*(batch.c[item.name] for item in fields(Batch)))


def open_batch(
    connection: sa.Connection, name: str, order_sha256: bytes, issuer_sha256: bytes, quantity: int, now: dt.datetime
) -> tuple[Batch, bool]:
    """The batch of this order, and whether it was made just now; the same order is the same batch for good.

    Two processes may ask at once: one makes it, the other one gets sqlalchemy.exc.IntegrityError and asks again.
    """
    known = find_by_order(connection, issuer_sha256, order_sha256)
    if known is not None:
        return known, False
    values = {
        "name": name,
        "order_sha256": order_sha256,
        "issuer_sha256": issuer_sha256,
        "quantity": quantity,
        "created_at": now,
    }
    made = connection.execute(sa.insert(batch).values(values).returning(batch.c.id)).scalar_one()
    return Batch(made, name, order_sha256, issuer_sha256, quantity, now, None, None), True


def find_by_order(connection: sa.Connection, issuer_sha256: bytes, order_sha256: bytes) -> Batch | None:
    """The batch of this order at this CA."""
    return _one(connection, batch.c.issuer_sha256 == issuer_sha256, batch.c.order_sha256 == order_sha256)


def find_by_id(connection: sa.Connection, batch_id: int) -> Batch | None:
    """The batch with this number."""
    return _one(connection, batch.c.id == batch_id)


def find_by_name(connection: sa.Connection, name: str) -> list[Batch]:
    """Every batch of this name, oldest first."""
    return [Batch(*row) for row in connection.execute(_BATCH.where(batch.c.name == name).order_by(batch.c.id))]


def read_all(connection: sa.Connection) -> list[Batch]:
    """Every batch, oldest first."""
    return [Batch(*row) for row in connection.execute(_BATCH.order_by(batch.c.id))]


def finish(connection: sa.Connection, batch_id: int, manifest_sha256: bytes, now: dt.datetime) -> None:
    """Everything ordered is done, and the manifest written."""
    values = {"finished_at": now, "manifest_sha256": manifest_sha256}
    connection.execute(sa.update(batch).where(batch.c.id == batch_id).values(values))


def _one(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> Batch | None:
    row = connection.execute(_BATCH.where(*where)).one_or_none()
    return Batch(*row) if row else None
