"""Refusals a page at a time, the newest first, and counts over time. Works in the caller's transaction."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.fleet_view import Page
from mtls_ambassador.model.refusal import Refusal, RefusalKind
from mtls_ambassador.store import cursor
from mtls_ambassador.store.ledger_tables import refusal, tally

KIND = "refusal"
LOOKED_AT = 20_000
"""Rows for one page at the most, where no index can tell."""
HOUR, DAY = 3600, 86_400
STEPS = 10_000
"""Rows of counts in one answer."""
_TOP = 2**62
COLUMNS = [refusal.c[name if name != "number" else "id"] for name in Refusal.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class RefusalQuery:
    """Which refusals; each empty field chooses all."""

    kind: RefusalKind | None = None
    cause: str = ""
    address: str = ""
    serial: str = ""
    """Lower-case hex without leading zeros."""
    spki_sha256: str = ""
    identity_sha256: str = ""
    since: dt.datetime | None = None
    limit: int = 50
    after: str = ""

    def equal(self) -> dict[str, str]:
        """Columns and what they must be."""
        names = ("cause", "address", "serial", "spki_sha256", "identity_sha256")
        given = {name: getattr(self, name) for name in names if getattr(self, name)}
        return given | ({"kind": self.kind.value} if self.kind else {})


def page(connection: sa.Connection, query: RefusalQuery) -> Page[Refusal]:
    """Those that the query means. As with devices a page may have few and still a `next`.

    Raises UsageError for a limit or an `after` that cannot be.
    """
    cursor.require_limit(query.limit)
    place = cursor.unpack(KIND, query.after)
    before = _TOP if place is None else place[0]
    first = next((refusal.c[name] == value for name, value in query.equal().items() if name != "kind"), sa.true())
    newest = sa.select(refusal.c.id).where(first, refusal.c.id < before).order_by(refusal.c.id.desc())
    end = connection.scalar(newest.offset(LOOKED_AT - 1).limit(1)) or 0
    chosen = sa.select(*COLUMNS).where(first, refusal.c.id < before, refusal.c.id >= end)
    for name, value in query.equal().items():
        chosen = chosen.where(refusal.c[name] == value)
    if query.since is not None:
        chosen = chosen.where(refusal.c.at >= query.since)
    rows = [as_refusal(row) for row in connection.execute(chosen.order_by(refusal.c.id.desc()).limit(query.limit + 1))]
    rest = rows[query.limit - 1].number if len(rows) > query.limit else end
    return Page(tuple(rows[: query.limit]), cursor.pack(KIND, rest) if rest else "")


def as_refusal(row: Any) -> Refusal:  # noqa: ANN401 - a row of COLUMNS
    """From a row of COLUMNS."""
    first_at, at, kind, *rest = row
    return Refusal(first_at, at, RefusalKind(kind), *rest)


def tallies(
    connection: sa.Connection, kind: str, since: dt.datetime, until: dt.datetime, step: int
) -> list[tuple[dt.datetime, str, int]]:
    """Step's begin, name and count, the oldest first; at most the first STEPS of them."""
    chosen = sa.select(tally.c.at, tally.c.name, tally.c.count).where(
        tally.c.step == step, tally.c.kind == kind, tally.c.at >= since, tally.c.at < until
    )
    return [tuple(row) for row in connection.execute(chosen.order_by(tally.c.at, tally.c.name).limit(STEPS))]


def tallies_by_day(
    connection: sa.Connection, kind: str, since: dt.datetime, until: dt.datetime
) -> list[tuple[dt.datetime, str, int]]:
    """As `tallies` by hours, added up for each day in UTC: 30 days of hours are thousands of rows."""
    day = sa.cast(sa.extract("epoch", tally.c.at), sa.BigInteger) // sa.literal_column(str(DAY), sa.BigInteger)
    chosen = sa.select(day, tally.c.name, sa.func.sum(tally.c.count)).where(
        tally.c.step == HOUR, tally.c.kind == kind, tally.c.at >= since, tally.c.at < until
    )
    rows = connection.execute(chosen.group_by(day, tally.c.name).order_by(day, tally.c.name).limit(STEPS))
    return [(dt.datetime.fromtimestamp(row[0] * DAY, dt.UTC), row[1], int(row[2])) for row in rows]
