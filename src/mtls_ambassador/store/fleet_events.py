"""The audit as operators read it: the newest first, filtered. Works in the caller's transaction."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.fleet_view import Event, Page
from mtls_ambassador.store import cursor
from mtls_ambassador.store.tables import audit

KIND = "event"
COLUMNS = [audit.c[name if name != "number" else "id"] for name in Event.__dataclass_fields__]
"""Those that `as_event` takes."""


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which lines of the audit; each empty field chooses all."""

    event: str = ""
    """`enrol`, `deny`, `approve-move` and so on."""
    identity_sha256: str = ""
    serial: str = ""
    """In hexadecimal."""
    since: dt.datetime | None = None
    limit: int = 50
    after: str = ""


def page(connection: sa.Connection, query: EventQuery) -> Page[Event]:
    """Those that the query means, by an index. Raises UsageError for a limit or an `after` that cannot be."""
    cursor.require_limit(query.limit)
    after = cursor.unpack(KIND, query.after)
    chosen = sa.select(*COLUMNS).order_by(audit.c.id.desc()).limit(query.limit + 1)
    if after is not None:
        chosen = chosen.where(audit.c.id < after[0])
    if query.event:
        chosen = chosen.where(audit.c.event == query.event)
    if query.identity_sha256:
        chosen = chosen.where(audit.c.identity_sha256 == query.identity_sha256)
    if query.serial:
        chosen = chosen.where(audit.c.certificate_serial.in_(_spellings(query.serial)))
    if query.since is not None:
        chosen = chosen.where(audit.c.id >= _first_since(connection, query.since))
    rows = list(map(as_event, connection.execute(chosen)))
    more = cursor.pack(KIND, rows[query.limit - 1].number) if len(rows) > query.limit else ""
    return Page(tuple(rows[: query.limit]), more)


def as_event(row: Sequence[Any]) -> Event:
    """From a row of COLUMNS."""
    return Event(*row)


def _first_since(connection: sa.Connection, since: dt.datetime) -> int:
    """The audit is in the order of time, so that one look-up tells where the time begins."""
    first = connection.scalar(sa.select(audit.c.id).where(audit.c.at >= since).order_by(audit.c.at).limit(1))
    return 2**62 if first is None else int(first)


def _spellings(serial: str) -> list[str]:
    """As auth requests have it, in lower case without leading zeros, and as the denylist's entries have it."""
    bare = serial.replace(":", "").lower().lstrip("0") or "0"
    whole = bare.rjust(len(bare) + len(bare) % 2, "0").upper()
    return [bare, whole]
