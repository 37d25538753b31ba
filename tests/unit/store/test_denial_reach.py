"""Whom denials hit, and what still keeps them out, in either database."""

import datetime as dt
from pathlib import Path

import pytest

from mtls_ambassador.flows.denial_journal import DenialJournal
from mtls_ambassador.flows.denial_targets import Selection
from mtls_ambassador.flows.deny import Denied, Order, deny
from mtls_ambassador.flows.lift_denials import Lifted, lift
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.revocation import Revocation, RevocationReason
from mtls_ambassador.store import batches, certificates, denials, devices, revocations
from mtls_ambassador.store.certificates import Issued, Reservation
from mtls_ambassador.store.database import Database

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
ORDER = Order("unspecified", "me", NOW)
CA = b"\1" * 32
KNOWN = {"CN=CA": CA}


def key_of(serial: int) -> bytes:
    return serial.to_bytes(32, "big")


def identity_of(serial: int) -> Identity:
    return Identity.parse(f'{{"mac":"{serial}"}}')


def shown(serial: int) -> DeviceCertificate:
    key = key_of(serial).hex()
    return DeviceCertificate(serial, "CN=CA", f"CN=dev-{serial}", key, key, NOW - serial * DAY, NOW + DAY, {})


@pytest.fixture
def site(database: Database) -> Database:
    """Certificates 1 to 4 of a CA, 1 and 2 in a batch; devices have shown 2, 3 and, of another maker, 9."""
    with database.transaction() as connection:
        batch, _ = batches.open_batch(connection, "lot", bytes(32), CA, 2, NOW)
        for serial in range(1, 5):
            own = batch.id if serial < 3 else None
            certificates.reserve(connection, [Reservation(serial, CA, f"dev-{serial}", "device", own, NOW)])
            key, begins = key_of(serial), NOW - serial * DAY
            made = Issued(serial, CA, b"der", key, key, f"CN=dev-{serial}", begins, NOW + DAY)
            certificates.mark_issued(connection, [made])
        for serial in (2, 3, 9):
            devices.record_accepted(connection, identity_of(serial), shown(serial), "key", "id", NOW)
            denials.remember(connection, identity_of(serial), shown(serial), NOW)
    return database


def hit(found: Denied) -> tuple[list[int], list[str]]:
    return sorted(item.named.serial or 0 for item in found.shown), sorted(item.name for item in found.recorded)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Selection(serials=(2, 4, 9, 77)), ([2, 9], ["dev-2", "dev-4"])),
        (Selection(serials=(2, 3), issuer="CN=Other"), ([], ["dev-2", "dev-3"])),
        (Selection(identities=(identity_of(3),)), ([3], ["dev-3"])),
        (Selection(keys=(key_of(1).hex(), key_of(9).hex())), ([9], ["dev-1"])),
        (Selection(batches=("lot",)), ([2], ["dev-1", "dev-2"])),
        (Selection(batches=("1",)), ([2], ["dev-1", "dev-2"])),
        (Selection(span=(NOW - 3 * DAY, NOW - 2 * DAY)), ([3], ["dev-3"])),
        (Selection(span=(NOW - 9 * DAY, NOW), issuer="CN=CA"), ([2, 3, 9], ["dev-1", "dev-2", "dev-3", "dev-4"])),
        (Selection(issuer="CN=CA"), ([2, 3, 9], ["dev-1", "dev-2", "dev-3", "dev-4"])),
        (Selection(issuer="CN=Other"), ([], [])),
    ],
)
def test_whom_it_hits(site: Database, tmp_path: Path, wanted: Selection, expected: object) -> None:
    journal = DenialJournal(tmp_path / "journal")
    assert hit(deny(site, journal, wanted, ORDER, KNOWN, dry_run=True)) == expected
    done = deny(site, journal, wanted, ORDER, KNOWN, dry_run=False)
    assert hit(done) == expected
    assert all(item.number for item in done.made)
    again = deny(site, journal, wanted, ORDER, KNOWN, dry_run=False)
    assert (again.made, again.already, again.conflicts) == ((), done.made, ())
    lifted = lift(site, journal, (), wanted, ORDER, KNOWN)
    assert lifted == Lifted(done.made, (), (), (), ())


def test_many_are_found_a_few_at_a_time(site: Database, tmp_path: Path) -> None:
    journal = DenialJournal(tmp_path / "journal")
    many = Selection(serials=tuple(range(1, 1200)), keys=tuple(key_of(serial).hex() for serial in range(1200)))
    done = deny(site, journal, many, ORDER, KNOWN, dry_run=False)
    assert len(done.made) == 2399
    assert hit(done) == ([2, 3, 9], ["dev-1", "dev-2", "dev-3", "dev-4"])
    assert len(lift(site, journal, (), many, ORDER, KNOWN).lifted) == 2399


def test_all_that_still_keeps_a_device_out_is_told(site: Database, tmp_path: Path) -> None:
    journal = DenialJournal(tmp_path / "journal")
    others = Selection(
        batches=("lot",), issuer="CN=CA", span=(NOW - 2 * DAY, NOW), serials=(2, 3), keys=(key_of(2).hex(),)
    )
    deny(site, journal, others, ORDER, KNOWN, dry_run=False)
    with site.transaction() as connection:
        revocations.revoke(connection, [Revocation(CA, 2, RevocationReason.SUPERSEDED, NOW, "me")])
    done = lift(site, journal, (), Selection(identities=(identity_of(2),)), ORDER, KNOWN)
    assert [item.what for item in done.lifted] == [f"key {key_of(2).hex()}"]
    assert [item.kind.value for item in done.still] == ["serial", "batch", "dates"]
    assert done.revoked == (2,)
