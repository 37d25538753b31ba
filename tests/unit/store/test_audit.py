"""What was written into the audit stays as it was, or `verify` says which row is not."""

import datetime as dt
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store.audit import AuditEntry, append, append_all, head, read, read_all, verify
from mtls_ambassador.store.chain import NAMES, Head, next_hash
from mtls_ambassador.store.database import Database, open_database
from mtls_ambassador.store.tables import audit

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=dt.UTC)


def entry(number: int) -> AuditEntry:
    return AuditEntry(NOW + dt.timedelta(seconds=number), "event", "reason", detail=f'{number} "ä€\U0001f600"')


@pytest.fixture
def filled(database: Database) -> Database:
    with database.transaction() as connection:
        append_all(connection, [entry(number) for number in range(1, 8)])
        append(connection, entry(8))
    return database


def fault_of(database: Database, *anchors: Head) -> str:
    with database.snapshot() as connection:
        return verify(connection, anchors).fault


def run(database: Database, statement: str) -> None:
    with database.transaction() as connection:
        connection.execute(sa.text(statement))


def test_a_whole_audit_is_whole(filled: Database) -> None:
    with filled.snapshot() as connection:
        verdict = verify(connection)
        assert (verdict.rows, verdict.fault) == (8, "")
        assert verdict.head == head(connection)
        assert read_all(connection) == [entry(number) for number in range(1, 9)]
        assert [number for number, _ in read(connection, NOW + dt.timedelta(seconds=6))] == [6, 7, 8]


def test_an_empty_audit_is_whole(database: Database) -> None:
    assert fault_of(database) == ""


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE audit SET detail = 'x' WHERE id = 4", "row 4 .* is not what was written"),
        ("UPDATE audit SET at = '2020-01-01 00:00:00.000000+00' WHERE id = 4", "row 4 "),
        ("UPDATE audit SET id = 40 WHERE id = 4", "row 5 .* was removed"),
        ("DELETE FROM audit WHERE id = 1", "row 2 .* the 0 before it was removed"),
        ("DELETE FROM audit WHERE id = 4", "row 5 .* was removed"),
        ("DELETE FROM audit WHERE id >= 7", "missing at the end: the last is 6, not 8"),
        ("DELETE FROM audit", "missing at the end: the last is 0, not 8"),
        ("DELETE FROM audit_head", "the head of the audit is missing"),
        ("UPDATE audit_head SET last_id = 7", "the last is 8, not 7"),
        ("UPDATE audit SET hash = NULL WHERE id = 4", "row 4 .* has no hash"),
    ],
)
def test_what_was_tampered_with_is_named(filled: Database, statement: str, text: str) -> None:
    run(filled, statement.replace("+00'", "'" if filled.engine.dialect.name == "sqlite" else "+00'"))
    fault = fault_of(filled)
    assert re.search(text, fault), fault


def test_a_row_put_in_between_or_at_the_end_is_named(filled: Database) -> None:
    columns = ", ".join(column.name for column in audit.c if column.name != "id")
    run(filled, f"INSERT INTO audit (id, {columns}) SELECT 9, {columns} FROM audit WHERE id = 8")  # noqa: S608 - a test's
    assert "row 9 " in fault_of(filled)
    with filled.transaction() as connection:
        append(connection, entry(9))
        assert [number for number, _ in read(connection)][-2:] == [9, 10], "the gateway goes on writing"
    assert "row 9 " in fault_of(filled)


def test_a_chain_made_anew_shows_against_an_anchor(filled: Database) -> None:
    """Who may write to the database can do this; the anchor is elsewhere."""
    with filled.snapshot() as connection:
        anchor = head(connection)
        (_, sixth) = list(read(connection))[5]
    with filled.transaction() as connection:
        connection.execute(sa.text("DELETE FROM audit WHERE id >= 6"))
        before = connection.execute(sa.text("SELECT hash FROM audit WHERE id = 5")).scalar_one()
        connection.execute(sa.text("UPDATE audit_head SET last_id = 5, hash = :hash"), {"hash": before})
        append_all(connection, [replace(sixth, detail="nothing to see"), entry(7), entry(8)])
    assert fault_of(filled) == ""
    assert "row 8 is not the one that was noted" in fault_of(filled, anchor)


def test_an_older_state_put_back_shows_against_an_anchor(filled: Database) -> None:
    later = Head(12, b"\1" * 32)
    assert "row 12 was noted and is not there" in fault_of(filled, later)
    with filled.snapshot() as connection:
        assert verify(connection, [head(connection), Head(0, bytes(32))]).fault == ""


def test_replicas_append_to_one_chain(migrated: StoreSettings) -> None:
    def work(database: Database) -> None:
        for number in range(20):
            with database.transaction() as connection:
                append(connection, entry(number))

    with open_database(migrated) as one, open_database(migrated) as other, ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (one, other)))
        with one.snapshot() as connection:
            verdict = verify(connection)
        assert (verdict.rows, verdict.fault) == (40, "")


def test_what_is_hashed_never_changes() -> None:
    """Rows of every age are verified with the same function, so this text must stay."""
    row = {name: name[:2] for name in NAMES} | {"at": NOW, "reason": "ä"}
    text = b'[7,"2026-11-23T12:00:00.123456+00:00","ev","\\u00e4","de","id","id","au","ce","ce","ce","ce","ad","re"]'
    assert next_hash(bytes(32), 7, row) == hashlib.sha256(bytes(32) + text).digest()
