"""What a database has lost, by being restored from a backup, is put back from the journal."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from mtls_ambassador.flows.denial_entry import entry
from mtls_ambassador.flows.denial_journal import DenialJournal, lost
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.store import denial_reach, denials
from mtls_ambassador.store.audit import append_all
from mtls_ambassador.store.chain import hold_head
from mtls_ambassador.store.database import Database

Serials = Sequence[tuple[str, int]]
"""Issuer, empty for any, and serial of each."""


def put_back_all(database: Database, journal: DenialJournal, now: dt.datetime) -> list[Denial]:
    """`put_back` in a transaction of its own."""
    with database.transaction() as connection:
        hold_head(connection)
        return put_back(connection, journal, now)


def all_lost(database: Database, journal: DenialJournal, now: dt.datetime) -> list[Denial]:
    """What the journal has and the database lost."""
    with database.transaction() as connection:
        return lost(connection, journal, now)


def put_back(
    connection: sa.Connection, journal: DenialJournal, now: dt.datetime, *, is_noted: bool = True
) -> list[Denial]:
    """Deny again what the journal has and the database lost; returns that.

    Certificates of a key or of a batch that the database has lost too are denied by their serials, which the journal
    gets too unless not `is_noted`: for a transaction that is rolled back.
    """
    missing = lost(connection, journal, now)
    serials = [extra for item in missing for extra in _by_serial(connection, journal, item, now)]
    if is_noted:
        journal.denied(serials)
    found = [*missing, *serials]
    denials.add(connection, found)
    append_all(connection, [entry("deny", item, now, "put back from the journal, ") for item in found])
    return found


def serials_of(
    connection: sa.Connection, items: Iterable[Denial], authorities: Mapping[str, bytes]
) -> dict[Denial, Serials]:
    """The certificates known of each key and batch, for the journal."""
    found: dict[Denial, Serials] = {}
    for item in items:
        if item.kind in {DenialKind.KEY, DenialKind.BATCH}:
            named = (
                *(each.named for each in denial_reach.shown(connection, [item])),
                *(each.named for each in denial_reach.made(connection, [item], authorities)),
            )
            found[item] = sorted({(each.issuer, each.serial) for each in named if each.serial is not None})
    return found


def _by_serial(connection: sa.Connection, journal: DenialJournal, item: Denial, now: dt.datetime) -> list[Denial]:
    noted = journal.serials_of(item)
    if not noted:
        return []
    known = {serial for _, serial in serials_of(connection, [item], {})[item]}
    return [
        Denial(
            DenialKind.SERIAL,
            item.reason,
            item.by,
            now,
            issuer=issuer,
            serial=serial,
            note=f"of {item.what}",
            until=item.until,
        )
        for issuer, serial in noted
        if serial not in known
    ]
