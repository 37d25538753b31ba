"""Batches with what became of them, a page at a time. Works in the caller's transaction."""

from collections.abc import Iterator, Sequence
from itertools import islice

import sqlalchemy as sa

from mtls_ambassador.model.fleet_view import BatchRow, Page
from mtls_ambassador.store import cursor
from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.pki_tables import batch, certificate, revocation

KIND = "batch"
VOID = sa.literal_column("'void'", sa.String)
"""In the statement itself: an index of a part of the rows is not used for what a parameter says."""


def page(connection: sa.Connection, *, limit: int = 50, after: str = "") -> Page[BatchRow]:
    """The newest first. Raises UsageError for a limit or an `after` that cannot be."""
    cursor.require_limit(limit)
    place = cursor.unpack(KIND, after)
    chosen = sa.select(batch.c.id, batch.c.name, batch.c.quantity, batch.c.created_at, batch.c.finished_at)
    if place is not None:
        chosen = chosen.where(batch.c.id < place[0])
    rows = connection.execute(chosen.order_by(batch.c.id.desc()).limit(limit + 1)).all()
    more = cursor.pack(KIND, rows[limit - 1].id) if len(rows) > limit else ""
    issued, revoked, enrolled = _counts(connection, [row.id for row in rows[:limit]])
    shown = (BatchRow(*row, issued.get(row.id, 0), revoked.get(row.id, 0), enrolled.get(row.id, 0)) for row in rows)
    return Page(tuple(islice(shown, limit)), more)


def _counts(connection: sa.Connection, numbers: Sequence[int]) -> Iterator[dict[int, int]]:
    """By the batch's number: certificates on record, revoked ones, and those with which a device was accepted."""
    its_batch = certificate.c.batch_id
    of_these = its_batch.in_(numbers)
    taken_back = revocation.join(
        certificate,
        sa.and_(revocation.c.issuer_sha256 == certificate.c.issuer_sha256, revocation.c.serial == certificate.c.serial),
    )
    for column, source, condition in (
        (its_batch, certificate, sa.and_(of_these, its_batch.is_not(None), certificate.c.status != VOID)),
        (its_batch, taken_back, of_these),
        (seen.c.batch_id, seen, sa.and_(seen.c.batch_id.in_(numbers), seen.c.batch_id.is_not(None))),
    ):
        counted = sa.select(column, sa.func.count()).select_from(source).where(condition).group_by(column)
        yield {row[0]: row[1] for row in connection.execute(counted)}
