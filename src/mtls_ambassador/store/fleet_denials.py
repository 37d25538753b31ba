"""Denials a page at a time, lifted ones included where asked for. Works in the caller's transaction."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from mtls_ambassador.model.denial import Denial
from mtls_ambassador.model.fleet_view import Page
from mtls_ambassador.store import cursor
from mtls_ambassador.store.denial_tables import denial
from mtls_ambassador.store.denials import as_denial, columns

KIND = "denial"


@dataclass(frozen=True, slots=True)
class DenialRow:
    """A denial, and what became of it."""

    denial: Denial
    lifted_at: dt.datetime | None
    lifted_by: str

    def is_in_force(self, now: dt.datetime) -> bool:
        """Whether it keeps anybody out."""
        return self.lifted_at is None and self.denial.is_in_force(now)


def page(connection: sa.Connection, *, with_past: bool = False, limit: int = 50, after: str = "") -> Page[DenialRow]:
    """The newest first; `with_past` also those that were lifted. Raises UsageError for a limit or an `after`."""
    cursor.require_limit(limit)
    place = cursor.unpack(KIND, after)
    chosen = sa.select(*columns, denial.c.lifted_at, denial.c.lifted_by).order_by(denial.c.id.desc()).limit(limit + 1)
    if place is not None:
        chosen = chosen.where(denial.c.id < place[0])
    if not with_past:
        chosen = chosen.where(denial.c.lifted_at.is_(None))
    rows = [DenialRow(as_denial(row[:-2]), row[-2], row[-1]) for row in connection.execute(chosen)]
    more = cursor.pack(KIND, rows[limit - 1].denial.number) if len(rows) > limit else ""
    return Page(tuple(rows[:limit]), more)
