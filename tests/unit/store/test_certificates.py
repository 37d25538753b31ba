"""A serial is recorded before it is used, once; what was recorded is found by every name it has."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import Revocation, RevocationReason
from mtls_ambassador.store import batches, certificates, revocations
from mtls_ambassador.store.certificates import Filter, Issued, Reservation, Status
from mtls_ambassador.store.database import Database

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=dt.UTC)
CA, OTHER = b"\1" * 32, b"\2" * 32
LARGEST = (1 << 160) - 1


def reservation(serial: int, name: str = "", batch: int | None = None, ca: bytes = CA) -> Reservation:
    return Reservation(serial, ca, name or f"dev-{serial}", "device", batch, NOW)


def issued(serial: int, ca: bytes = CA, days: int = 10) -> Issued:
    mark = serial.to_bytes(32, "big")
    return Issued(serial, ca, b"der" + mark, mark, mark[::-1], f"CN=dev-{serial}", NOW, NOW + dt.timedelta(days=days))


def fill(database: Database, serials: range, batch: int | None = None) -> None:
    with database.transaction() as connection:
        certificates.reserve(connection, [reservation(serial, batch=batch) for serial in serials])
        certificates.mark_issued(connection, [issued(serial) for serial in serials])
        certificates.mark_done(connection, [(CA, serial) for serial in serials], NOW)


@contextmanager
def refused(database: Database, error: type[Exception]) -> Iterator[sa.Connection]:
    with pytest.raises(error), database.transaction() as connection:
        yield connection


def test_from_reserved_to_done(database: Database) -> None:
    with database.transaction() as connection:
        certificates.reserve(connection, [reservation(LARGEST, "a"), reservation(1, "b")])
    with database.snapshot() as connection:
        first, second = certificates.unfinished(connection, None)
    assert (first.serial, first.name, first.status) == (LARGEST, "a", Status.RESERVED)
    assert (second.serial_hex, second.reserved_at, second.der) == ("01", NOW, None)
    with database.transaction() as connection:
        certificates.mark_issued(connection, [issued(1)])
    with database.snapshot() as connection:
        (found,) = certificates.find(connection, serial=1)
    assert found.status is Status.ISSUED
    assert (found.der, found.not_after) == (issued(1).der, NOW + dt.timedelta(days=10))
    with database.transaction() as connection:
        certificates.mark_done(connection, [(CA, 1)], NOW)
    with database.snapshot() as connection:
        assert [item.serial for item in certificates.unfinished(connection, None)] == [LARGEST]


def test_no_issuer_has_a_serial_twice(database: Database) -> None:
    with database.transaction() as connection:
        certificates.reserve(connection, [reservation(7), reservation(7, ca=OTHER)])
    with refused(database, sa.exc.IntegrityError) as connection:
        certificates.reserve(connection, [reservation(8), reservation(7)])
    with database.snapshot() as connection:
        assert certificates.find(connection, serial=8) == []
        assert len(certificates.find(connection, serial=7)) == 2


def test_a_name_stands_once_in_a_batch_and_any_number_of_times_outside(database: Database) -> None:
    with database.transaction() as connection:
        batch, is_new = batches.open_batch(connection, "lot", bytes(32), CA, 2, NOW)
        assert is_new
        certificates.reserve(connection, [reservation(1, "a", batch.id), reservation(2, "a"), reservation(3, "a")])
    with refused(database, sa.exc.IntegrityError) as connection:
        certificates.reserve(connection, [reservation(4, "a", batch.id)])
    with database.transaction() as connection:
        certificates.mark_void(connection, [(CA, 1)], NOW)
        certificates.reserve(connection, [reservation(4, "a", batch.id)])
        assert [item.serial for item in certificates.unfinished(connection, batch.id)] == [4]


def test_an_order_is_one_batch_per_ca(database: Database) -> None:
    with database.transaction() as connection:
        first, _ = batches.open_batch(connection, "lot", bytes(32), CA, 2, NOW)
        assert batches.open_batch(connection, "again", bytes(32), CA, 2, NOW) == (first, False)
        _, is_new = batches.open_batch(connection, "lot", bytes(32), OTHER, 2, NOW)
        assert is_new
        batches.finish(connection, first.id, b"\5" * 32, NOW)
        assert batches.find_by_id(connection, first.id) == replace(first, finished_at=NOW, manifest_sha256=b"\5" * 32)
        assert len(batches.find_by_name(connection, "lot")) == len(batches.read_all(connection)) == 2


@pytest.mark.parametrize("serial", [1, 2, 99])
def test_no_step_is_taken_twice_or_skipped(database: Database, serial: int) -> None:
    """1 is done, 2 is reserved, 99 is not there."""
    fill(database, range(1, 2))
    with database.transaction() as connection:
        certificates.reserve(connection, [reservation(2), reservation(3)])
    with refused(database, LookupError) as connection:
        certificates.mark_done(connection, [(CA, serial)], NOW)
    if serial != 2:
        with refused(database, LookupError) as connection:
            certificates.mark_issued(connection, [issued(3), issued(serial)])
    with database.snapshot() as connection:
        assert certificates.find(connection, serial=3)[0].status is Status.RESERVED


def test_found_by_each_of_its_names(database: Database) -> None:
    fill(database, range(1, 6))
    wanted = issued(3)
    with database.snapshot() as connection:
        for found in (
            certificates.find(connection, serial=3),
            certificates.find(connection, name="dev-3"),
            certificates.find(connection, fingerprint=wanted.fingerprint),
            certificates.find(connection, spki=wanted.spki_sha256),
            certificates.find(connection, name="dev-3", serial=3),
        ):
            assert [item.serial for item in found] == [3]
        assert certificates.find(connection, name="dev-3", serial=4) == []
        with pytest.raises(ValueError, match="say what to look for"):
            certificates.find(connection)


@pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)
def test_found_by_index_whatever_the_size(database: Database) -> None:
    """SQLite says how it would look; on PostgreSQL that depends on what is in the tables."""
    asked: list[str] = []

    def note(*args: object) -> None:
        asked.append(str(args[2]))

    wanted = issued(3)
    sa.event.listen(database.engine, "before_cursor_execute", note)
    with database.snapshot() as connection:
        certificates.find(connection, serial=3)
        certificates.find(connection, name="dev-3")
        certificates.find(connection, fingerprint=wanted.fingerprint)
        certificates.find(connection, spki=wanted.spki_sha256)
        for statement in [text for text in asked if text.startswith("SELECT")]:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("x",)).all()
            steps = [row[3] for row in plan if "TEMP B-TREE" not in row[3]]
            assert all(step.startswith("SEARCH") for step in steps), steps


def test_selected_a_page_at_a_time_in_order(database: Database) -> None:
    fill(database, range(1, 24))
    with database.snapshot() as connection:
        found = certificates.select(connection, Filter(), page=5)
        assert [item.serial for item in found] == list(range(1, 24))


@pytest.mark.parametrize(
    ("wanted", "serials"),
    [
        (Filter(issuer_sha256=OTHER), [6]),
        (Filter(status=Status.RESERVED), [6]),
        (Filter(profile="server"), []),
        (Filter(batch_id=77), []),
        (Filter(is_revoked=True), [2]),
        (Filter(is_revoked=False), [1, 3, 4, 5, 6]),
        (Filter(expires_before=NOW + dt.timedelta(days=10)), [1, 2, 3, 4, 5]),
        (Filter(expires_before=NOW), []),
        (Filter(expires_after=NOW + dt.timedelta(days=10)), []),
        (Filter(name_glob="dev-?"), [1, 2, 3, 4, 5]),
        (Filter(name_glob="*[1]%_\\*"), [6]),
        (Filter(name_glob="DEV-*"), []),
        (Filter(name_glob="dev-[12]"), []),
    ],
    ids=str,
)
def test_filters(database: Database, wanted: Filter, serials: list[int]) -> None:
    fill(database, range(1, 6))
    with database.transaction() as connection:
        certificates.reserve(connection, [reservation(6, "x[1]%_\\y", ca=OTHER)])
        revoked = Revocation(CA, 2, RevocationReason.SUPERSEDED, NOW, "me")
        revocations.revoke(connection, [revoked])
        assert [item.serial for item in certificates.select(connection, wanted, page=2)] == serials
        (found,) = certificates.find(connection, serial=2)
        assert (found.revoked_at, found.revocation_reason) == (NOW, "superseded")


def test_a_fault_of_the_database_is_told_in_its_words(database: Database) -> None:
    with pytest.raises(AmbassadorError, match="no_such_table"), database.transaction() as connection:
        connection.execute(sa.text("SELECT * FROM no_such_table"))


def test_a_snapshot_stays_as_it_was_and_keeps_nobody_waiting(database: Database) -> None:
    """The engine of a command has one connection to SQLite, so the writer has an engine of its own."""
    fill(database, range(1, 3))
    other = Database(sa.create_engine(database.engine.url))
    with database.snapshot() as connection:
        assert len(certificates.find(connection, serial=1)) == 1
        fill(other, range(3, 4))
        assert certificates.find(connection, serial=3) == []
    with database.snapshot() as connection:
        assert len(certificates.find(connection, serial=3)) == 1
    other.close()
