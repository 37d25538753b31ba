"""Refusals, contacts and counts over time, in bounded portions. Each function works in the caller's transaction."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mtls_ambassador.model.fleet_view import Contact
from mtls_ambassador.model.refusal import Refusal
from mtls_ambassador.model.storable import storable
from mtls_ambassador.store.fleet_refusals import COLUMNS, as_refusal
from mtls_ambassador.store.ledger_tables import contact, refusal, tally

STEPS = (60, 3600)
"""Seconds that counts are kept by."""
LONGEST = 1024
"""Characters of a text whose column sets no limit."""
_NAMES = tuple(column.name for column in refusal.c if column.name != "id")


def _lengths(table: sa.Table) -> dict[str, int]:
    """The most characters of each column's text; looking it up for each value took longer than all else."""
    return {column.name: getattr(column.type, "length", None) or LONGEST for column in table.c}


_REFUSAL, _CONTACT = _lengths(refusal), _lengths(contact)
_ADD = sa.insert(refusal).returning(refusal.c.id)
_MORE = (
    sa.update(refusal)
    .where(refusal.c.id == sa.bindparam("row"))
    .values(count=refusal.c.count + sa.bindparam("more"), at=sa.bindparam("last"))
)


def add(connection: sa.Connection, items: Sequence[Refusal]) -> list[int]:
    """Write rows; returns their numbers, in the order of the items."""
    numbers = []
    for item in items:
        values = {name: _fit(getattr(item, name), _REFUSAL[name]) for name in _NAMES}
        values["kind"] = item.kind.value
        numbers.append(connection.execute(_ADD, values).scalar_one())
    return numbers


def add_to(connection: sa.Connection, more: Mapping[int, tuple[int, dt.datetime]]) -> None:
    """Count more in rows that are there: by number, how many and when the last one was."""
    rows = [{"row": number, "more": count, "last": at} for number, (count, at) in more.items()]
    if rows:
        connection.execute(_MORE, rows)


def touch(connection: sa.Connection, contacts: Sequence[Contact]) -> None:
    """Certificates that have finished handshakes; `connections` are added to those on record."""
    rows = [
        {name: _fit(getattr(item, name), most) for name, most in _CONTACT.items()}
        for item in sorted(contacts, key=lambda item: item.fingerprint_sha256)  # so that no two replicas wait in a ring
    ]
    if not rows:
        return
    insert = _insert(connection, contact)
    new = insert.excluded
    is_newer = new.at > contact.c.at
    update = {name: sa.case((is_newer, new[name]), else_=contact.c[name]) for name in ("at", "address", "tls_version")}
    update["connections"] = contact.c.connections + new.connections
    connection.execute(insert.on_conflict_do_update(index_elements=[contact.c.fingerprint_sha256], set_=update), rows)


def count(connection: sa.Connection, counts: Mapping[tuple[dt.datetime, str, str], int]) -> None:
    """Add to the counts: by the minute's begin, kind and name."""
    summed: dict[tuple[int, dt.datetime, str, str], int] = {}
    for (minute, kind, name), number in counts.items():
        for step in STEPS:
            begin = dt.datetime.fromtimestamp(int(minute.timestamp()) // step * step, dt.UTC)
            key = step, begin, kind, name[:32]
            summed[key] = summed.get(key, 0) + number
    rows = [
        dict(zip(("step", "at", "kind", "name", "count"), (*key, summed[key]), strict=True)) for key in sorted(summed)
    ]
    if rows:
        insert = _insert(connection, tally)
        update = {"count": tally.c.count + insert.excluded["count"]}
        connection.execute(insert.on_conflict_do_update(index_elements=list(tally.primary_key), set_=update), rows)


def about(connection: sa.Connection, known: Iterable[tuple[str, str]], limit: int) -> list[Refusal]:
    """Refusals of which any of these is true, the newest first; empty texts are true of none.

    `known` are columns with a value: serial, spki_sha256, identity_sha256, address.
    """
    found: dict[int, Refusal] = {}
    for name, value in known:
        if value:
            chosen = sa.select(*COLUMNS).where(refusal.c[name] == value).order_by(refusal.c.id.desc()).limit(limit)
            found |= {row.id: as_refusal(row) for row in connection.execute(chosen)}
    return [found[number] for number in sorted(found, reverse=True)[:limit]]


def _insert(connection: sa.Connection, table: sa.Table) -> Any:  # noqa: ANN401 - of either dialect, which have no common type
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _fit(value: object, most: int) -> object:
    """A text as the column takes it: PostgreSQL refuses one that is too long, has a NUL, or is no Unicode."""
    return storable(value[:most]) if isinstance(value, str) else value
