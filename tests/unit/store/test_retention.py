"""A pruned audit is whole, and what was done to it otherwise still shows; on either database."""

import datetime as dt

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.fleet_view import Contact
from mtls_ambassador.model.refusal import Refusal, RefusalKind
from mtls_ambassador.settings import Limits
from mtls_ambassador.store import audit, ledger, retention
from mtls_ambassador.store.audit import AuditEntry
from mtls_ambassador.store.chain import Head
from mtls_ambassador.store.database import Database
from mtls_ambassador.store.ledger_tables import contact, tally
from mtls_ambassador.store.tables import audit as audit_table

NOW = dt.datetime(2026, 11, 28, 7, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
FEW = Limits(audit_rows=1000, audit_days=10)


def fill(database: Database, count: int = 1600) -> list[Head]:
    heads = []
    with database.transaction() as connection:
        for number in range(count):
            audit.append(connection, AuditEntry(NOW + number * dt.timedelta(seconds=1), "e", "r"))
            if number % 400 == 0:
                heads.append(audit.head(connection))
    return heads


def prune(database: Database, now: dt.datetime = NOW, limits: Limits = FEW) -> int:
    gone = total = 0
    while True:
        with database.transaction() as connection:
            gone = retention.prune_audit(connection, limits, now)
        total += gone
        if not gone:
            return total


def test_a_pruned_audit_is_whole(database: Database) -> None:
    heads = fill(database)
    assert prune(database) == 600
    with database.transaction() as connection:
        verdict = audit.verify(connection, heads)
        assert (verdict.fault, verdict.rows) == ("", 1000)
        audit.append(connection, AuditEntry(NOW, "e", "later"))
        assert audit.verify(connection, heads).fault == ""


def test_rows_too_old_go_and_the_last_one_stays(database: Database) -> None:
    fill(database, 30)
    assert prune(database, NOW) == 0
    assert prune(database, NOW + 11 * DAY) == 29
    with database.snapshot() as connection:
        assert audit.verify(connection).rows == 1


def test_a_row_removed_otherwise_still_shows(database: Database) -> None:
    fill(database)
    prune(database)
    with database.transaction() as connection:
        connection.execute(sa.delete(audit_table).where(audit_table.c.id == 601))
        assert "row 602" in audit.verify(connection).fault


@pytest.mark.parametrize("statement", ["DELETE FROM audit WHERE id <= 3", "UPDATE audit SET detail = 'x' WHERE id = 4"])
def test_what_was_done_to_it_is_not_pruned_away(database: Database, statement: str) -> None:
    fill(database, 30)
    with database.transaction() as connection:
        connection.execute(sa.text(statement))
    prune(database, NOW + 11 * DAY)
    with database.snapshot() as connection:
        assert "row 4 " in audit.verify(connection).fault


def test_a_pruned_row_does_not_come_back(database: Database) -> None:
    fill(database)
    with database.snapshot() as connection:
        row = dict(connection.execute(sa.select(audit_table).where(audit_table.c.id == 600)).mappings().one())
    prune(database)
    with database.transaction() as connection:
        connection.execute(sa.insert(audit_table), row)
        assert "row 600" in audit.verify(connection).fault


def test_what_was_noted_of_the_cut_must_fit(database: Database) -> None:
    fill(database)
    prune(database)
    with database.snapshot() as connection:
        assert "row 600 is not the one that was noted" in audit.verify(connection, [Head(600, b"\1" * 32)]).fault


def test_refusals_contacts_and_counts(database: Database) -> None:
    item = Refusal(NOW, NOW, RefusalKind.CALL, "serial", "nul\0 \udcff" + "x" * 5000, address="192.0.2.1", serial="af")
    met = Contact("aa", "af", "CN=x", "CN=CA", NOW, NOW, "192.0.2.1", "TLSv1.3", 2)
    with database.transaction() as connection:
        (number,) = ledger.add(connection, [item])
        ledger.add_to(connection, {number: (4, NOW + DAY)})
        for _ in range(2):
            ledger.touch(connection, [met])
            ledger.count(connection, {(NOW, "calls", ""): 5, (NOW + dt.timedelta(minutes=1), "calls", ""): 6})
    with database.snapshot() as connection:
        for known in ({"serial": "af"}, {"address": "192.0.2.1", "serial": "none"}):
            (found,) = ledger.about(connection, known.items(), 10)
            assert isinstance(found.kind, RefusalKind)
            assert (found.number, found.count, found.at, found.kind) == (number, 5, NOW + DAY, RefusalKind.CALL)
        assert ledger.about(connection, [("serial", ""), ("address", "")], 10) == []
        assert connection.execute(sa.select(contact.c.connections)).scalar_one() == 4
        hours = sa.select(tally.c.count).where(tally.c.step == 3600)
        assert connection.execute(hours).scalars().all() == [22]


def test_nothing_that_may_stay_goes(database: Database) -> None:
    with database.transaction() as connection:
        ledger.add(connection, [Refusal(NOW, NOW, RefusalKind.CALL, "serial")])
        ledger.touch(connection, [Contact("aa", "af", "", "", NOW, NOW, "", "", 1)])
        ledger.count(connection, {(NOW, "calls", ""): 5})
        assert retention.drop(connection, Limits(), NOW + DAY) == 0
        assert retention.drop(connection, Limits(), NOW + 500 * DAY) == 4
