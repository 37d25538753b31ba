"""Certificates, batches, events and denials a page at a time, on either database."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.fleet_view import Page
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.revocation import Revocation, RevocationReason
from mtls_ambassador.store import (
    batches,
    certificates,
    denials,
    devices,
    fleet_batches,
    fleet_certificates,
    fleet_counts,
    fleet_denials,
    fleet_events,
    revocations,
)
from mtls_ambassador.store.audit import AuditEntry, append
from mtls_ambassador.store.certificates import Issued, Reservation
from mtls_ambassador.store.database import Database
from mtls_ambassador.store.fleet_certificates import CertificateQuery
from mtls_ambassador.store.fleet_events import EventQuery
from mtls_ambassador.store.fleet_refusals import tallies_by_day
from mtls_ambassador.store.ledger_tables import tally

NOW = dt.datetime(2026, 11, 28, 6, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
CA = b"\1" * 32


def key_of(serial: int) -> bytes:
    return serial.to_bytes(32, "big")


@pytest.fixture
def site(database: Database) -> Database:
    """Certificates 1 to 20, half of them in a batch, ending one a day; 4 is revoked, 6 void, two were shown."""
    with database.transaction() as connection:
        lot, _ = batches.open_batch(connection, "lot", bytes(32), CA, 10, NOW)
        batches.open_batch(connection, "empty", b"\2" * 32, CA, 10, NOW)
        for serial in range(1, 21):
            own = lot.id if serial <= 10 else None
            name = f"dev-{serial:02}" if serial % 2 else f"Dev_{serial:02}"
            certificates.reserve(connection, [Reservation(serial, CA, name, "device", own, NOW)])
            key = key_of(serial)
            made = Issued(serial, CA, b"der", key, key, f"CN={serial}", NOW, NOW + serial * DAY)
            certificates.mark_issued(connection, [made])
        certificates.mark_void(connection, [(CA, 6)], NOW)
        revocations.revoke(connection, [Revocation(CA, 4, RevocationReason.SUPERSEDED, NOW, "me", "", None)])
        for serial in (2, 3):
            print_ = key_of(serial).hex()
            own_one = DeviceCertificate(serial, "CN=CA", f"CN={serial}", print_, print_, NOW, NOW + DAY, {})
            identity = Identity.parse(f'{{"mac":"{serial}"}}')
            devices.record_accepted(connection, identity, own_one, "key", "id", NOW)
            denials.remember(connection, identity, own_one, NOW)
    return database


def every(database: Database, read: Callable[[sa.Connection, str], Page[Any]]) -> list[Any]:
    found: list[Any] = []
    after = ""
    while True:
        with database.snapshot() as connection:
            page = read(connection, after)
        found += page.items
        after = page.next
        if not after:
            return found


@pytest.mark.parametrize("looked_at", [3, 20_000])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, list(range(20, 0, -1))),
        ({"name": "dev-0"}, [1, 3, 5, 7, 9]),
        ({"name": "Dev_"}, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
        ({"name": "dev-0", "status": "issued"}, [1, 3, 5, 7, 9]),
        ({"name": "%"}, []),
        ({"serial": 7}, [7]),
        ({"serial": 77}, []),
        ({"batch_id": 1}, {1, 2, 3, 4, 5, 7, 8, 9, 10}),
        ({"batch_id": 1, "status": "void"}, [6]),
        ({"batch_id": 1, "status": "revoked"}, [4]),
        ({"status": "revoked"}, [4]),
        ({"status": "done"}, []),
        ({"expires_before": NOW + 4 * DAY}, [1, 2, 3]),
        ({"expires_after": NOW + 18 * DAY}, [18, 19, 20]),
        ({"expires_before": NOW + 9 * DAY, "name": "dev-"}, [1, 3, 5, 7]),
    ],
)
def test_certificates(
    site: Database,
    asked: dict[str, Any],
    expected: "list[int] | set[int]",
    looked_at: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet_certificates, "LOOKED_AT", looked_at)
    for limit in (2, 100):
        rows = every(
            site,
            lambda c, after, limit=limit: fleet_certificates.page(
                c, CertificateQuery(**asked, limit=limit, after=after)
            ),  # type: ignore[misc]  # mypy infers no default
        )
        found = [int(row.serial, 16) for row in rows]
        assert len(found) == len(set(found))
        assert (set(found) if isinstance(expected, set) else found) == expected


def test_a_certificate_in_full(site: Database) -> None:
    with site.snapshot() as connection:
        row = fleet_certificates.page(connection, CertificateQuery(serial=4)).items[0]
    assert (row.name, row.status, row.revoked_at, row.revocation_reason) == ("Dev_04", "issued", NOW, "superseded")
    assert (row.issuer_sha256, row.spki_sha256, row.not_after) == (CA.hex(), key_of(4).hex(), NOW + 4 * DAY)


def test_batches_with_what_became_of_them(site: Database) -> None:
    rows = every(site, lambda c, after: fleet_batches.page(c, limit=1, after=after))
    told = [(row.name, row.quantity, row.issued, row.revoked, row.enrolled) for row in rows]
    assert told == [("empty", 10, 0, 0, 0), ("lot", 10, 9, 1, 2)]


def test_events(site: Database) -> None:
    with site.transaction() as connection:
        for number in range(1, 8):
            append(
                connection,
                AuditEntry(
                    NOW + number * DAY,
                    "deny" if number % 2 else "enrol",
                    "reason",
                    identity_sha256=f"{number % 3:064}",
                    certificate_serial="0A0B" if number == 2 else "a0b" if number == 3 else "",
                ),
            )

    def numbers(**asked: Any) -> list[int]:  # noqa: ANN401 - fields of a query
        return [
            row.number
            for row in every(site, lambda c, after: fleet_events.page(c, EventQuery(**asked, limit=2, after=after)))
        ]

    assert numbers() == [7, 6, 5, 4, 3, 2, 1]
    assert numbers(event="deny") == [7, 5, 3, 1]
    assert numbers(identity_sha256=f"{1:064}") == [7, 4, 1]
    assert numbers(serial="a:0b") == numbers(serial="0A0B") == [3, 2]
    assert numbers(since=NOW + 5 * DAY) == [7, 6, 5]
    assert numbers(since=NOW + 50 * DAY) == []


def test_denials(site: Database) -> None:
    with site.transaction() as connection:
        denials.add(connection, [Denial(DenialKind.SERIAL, "x", "me", NOW, serial=number) for number in range(1, 6)])
        denials.lift(connection, [3], "you", NOW + DAY)

    def numbers(*, with_past: bool) -> list[tuple[int | None, str]]:
        rows = every(site, lambda c, after: fleet_denials.page(c, with_past=with_past, limit=2, after=after))
        return [(row.denial.serial, row.lifted_by) for row in rows]

    assert numbers(with_past=False) == [(5, ""), (4, ""), (2, ""), (1, "")]
    assert numbers(with_past=True) == [(5, ""), (4, ""), (3, "you"), (2, ""), (1, "")]


def test_counts(site: Database) -> None:
    with site.snapshot() as connection:
        found = fleet_counts.count(connection, NOW)
    assert (found.devices, found.certificates, found.revoked, found.denials) == ({"accepted": 2}, 20, 1, 0)
    assert (found.expiring, found.silent) == (20, 0)


@pytest.mark.parametrize(
    "read",
    [
        lambda c: fleet_certificates.page(c, CertificateQuery(limit=501)),
        lambda c: fleet_certificates.page(c, CertificateQuery(status="gone")),
        lambda c: fleet_certificates.page(c, CertificateQuery(after="x")),
        lambda c: fleet_events.page(c, EventQuery(limit=0)),
        lambda c: fleet_events.page(c, EventQuery(after="x")),
        lambda c: fleet_batches.page(c, limit=0),
        lambda c: fleet_batches.page(c, after="x"),
        lambda c: fleet_denials.page(c, limit=501),
        lambda c: fleet_denials.page(c, after="x"),
    ],
)
def test_what_cannot_be_is_named(database: Database, read: Callable[[sa.Connection], object]) -> None:
    with database.snapshot() as connection, pytest.raises(UsageError, match=r"limit|status|after"):
        read(connection)


def test_hours_are_added_up_for_each_day(database: Database) -> None:
    begin = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    rows = [
        {"step": 3600, "at": begin + dt.timedelta(hours=hour), "kind": "handshakes", "name": name, "count": count}
        for hour, name, count in ((0, "expired", 1), (23, "expired", 2), (23, "revoked", 5), (24, "expired", 4))
    ]
    rows.append({"step": 60, "at": begin, "kind": "handshakes", "name": "expired", "count": 100})
    rows.append({"step": 3600, "at": begin, "kind": "calls", "name": "", "count": 100})

    with database.transaction() as connection:
        connection.execute(sa.insert(tally), rows)
        found = tallies_by_day(connection, "handshakes", begin, begin + dt.timedelta(days=30))
    assert found == [
        (begin, "expired", 3),
        (begin, "revoked", 5),
        (begin + dt.timedelta(days=1), "expired", 4),
    ]
