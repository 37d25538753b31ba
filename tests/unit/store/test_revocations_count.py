"""What a CA of ours takes back, and what it makes for a denied key, is noticed by gateways that run."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mtls_ambassador.flows import revoke as revoking
from mtls_ambassador.flows.denial_journal import DenialJournal
from mtls_ambassador.flows.store_denials import StoreWatch
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.revocation import Revocation, RevocationReason
from mtls_ambassador.model.store_denials import StoreDenials
from mtls_ambassador.pki.journal import Journal
from mtls_ambassador.store import certificates, denials, revocations
from mtls_ambassador.store.certificates import Issued, Reservation
from mtls_ambassador.store.database import Database

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
CA, ROOT = b"\1" * 32, b"\2" * 32
KEY = b"\3" * 32
HOLD, LIFT = RevocationReason.CERTIFICATE_HOLD, RevocationReason.REMOVE_FROM_CRL


@dataclass(frozen=True, slots=True)
class Site:
    """Certificate 1 of a CA is recorded, and a gateway watches."""

    database: Database
    folder: Path

    def record(self, serial: int, issuer: bytes, key: bytes, subject: str) -> None:
        with self.database.transaction() as connection:
            certificates.reserve(connection, [Reservation(serial, issuer, subject, "device", None, NOW)])
            made = Issued(serial, issuer, b"der", key, serial.to_bytes(32), subject, NOW, NOW + DAY)
            certificates.mark_issued(connection, [made])

    def revoke(self, reason: RevocationReason, serial: int = 1) -> None:
        order = revoking.Order(reason, "me", NOW)
        targets = [revoking.Target(CA, serial)]
        revoking.revoke(self.database, self.journal, targets, order, dry_run=False)

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "pki")

    def hits(self, serial: int = 1, key: bytes = KEY, issuer: str = "CN=CA") -> list[str]:
        shown = DeviceCertificate(serial, issuer, "CN=dev", key.hex(), "", NOW, NOW + DAY, {})
        with self.database.transaction() as connection:
            return [f"{item.what}, by {item.by}: {item.reason}" for item in denials.that_hit(connection, shown, NOW)]

    def watch(self) -> StoreWatch:
        return StoreWatch(self.database, DenialJournal(self.folder), self.folder / "written", lambda: NOW)

    def written(self) -> Mapping[str, tuple[str, ...]]:
        return StoreDenials.from_json((self.folder / "written").read_text()).of_authorities


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    (tmp_path / "pki").mkdir()
    made = Site(database, tmp_path)
    made.record(1, CA, KEY, "CN=dev")
    return made


def of_ca(*serials: int) -> dict[str, tuple[str, ...]]:
    return {CA.hex(): tuple(f"{serial:040x}" for serial in serials)} if serials else {}


async def test_a_running_gateway_notices_revocations_holds_and_liftings(site: Site) -> None:
    watch = site.watch()
    await watch.begin()
    site.revoke(HOLD)
    await watch.look()
    assert site.written() == of_ca(1)
    site.revoke(LIFT)
    await watch.look()
    assert site.written() == of_ca()


async def test_a_running_gateway_notices_what_is_taken_over_from_the_journal(site: Site) -> None:
    watch = site.watch()
    await watch.begin()
    lost = Revocation(CA, 1, RevocationReason.KEY_COMPROMISE, NOW, "me", "", None)
    site.journal.revoked([lost])
    with site.database.transaction() as connection:
        assert revoking.take_over(connection, site.journal.read(), NOW) == [lost]
    await watch.look()
    assert site.written() == of_ca(1)


async def test_a_running_gateway_notices_a_certificate_made_for_a_denied_key(site: Site) -> None:
    item = Denial(DenialKind.KEY, "unspecified", "me", NOW, spki_sha256=KEY.hex())
    await site.database.run(lambda c: denials.add(c, [item]))
    watch = site.watch()
    await watch.begin()
    site.record(2, CA, KEY, "CN=dev")
    await watch.look()
    assert site.written() == of_ca(1, 2)


async def test_certificates_are_no_reason_to_look_again_when_nothing_is_denied(site: Site) -> None:
    before = await site.database.run(denials.version)
    site.record(2, CA, KEY, "CN=dev")
    assert await site.database.run(denials.version) == before


@pytest.mark.parametrize("reason", [HOLD, RevocationReason.KEY_COMPROMISE])
def test_a_revoked_certificate_is_hit_at_once(site: Site, reason: RevocationReason) -> None:
    assert site.hits() == []
    site.revoke(reason)
    assert site.hits() == [f"serial 01 of CN=CA, by me: {reason}"]
    assert site.hits(key=ROOT) == [], "a certificate of another CA with the same serial"


def test_a_hold_that_is_lifted_hits_nobody(site: Site) -> None:
    site.revoke(HOLD)
    site.revoke(LIFT)
    assert site.hits() == []


def test_one_that_was_not_made_here_is_told_by_the_issuer(site: Site) -> None:
    site.record(7, ROOT, CA, "CN=CA")
    with site.database.transaction() as connection:
        unknown = Revocation(CA, 9, RevocationReason.KEY_COMPROMISE, NOW, "me", "", None)
        revocations.revoke(connection, [unknown])
    assert site.hits(9) == ["serial 09 of CN=CA, by me: keyCompromise"]
    assert site.hits(9, issuer="CN=Other") == []


def test_one_whose_key_was_never_recorded_is_told_by_the_serial(site: Site) -> None:
    with site.database.transaction() as connection:
        certificates.reserve(connection, [Reservation(5, CA, "dev", "device", None, NOW)])
    site.revoke(RevocationReason.SUPERSEDED, 5)
    assert site.hits(5) == ["serial 05 of CN=CA, by me: superseded"]
