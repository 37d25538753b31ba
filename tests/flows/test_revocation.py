"""Taking certificates back and saying so: what is revoked stays revoked, whatever is restored or crashes."""

import datetime as dt
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509

from mtls_ambassador.flows.revocation_targets import Authorities, Wanted, find_targets, known_authorities
from mtls_ambassador.flows.revoke import Order, Revoked, Target, revoke
from mtls_ambassador.flows.write_crl import CrlOrder, WrittenCrl, write_crl
from mtls_ambassador.model.errors import AmbassadorError, FaultsError
from mtls_ambassador.model.revocation import RevocationReason
from mtls_ambassador.pki.authority import Authority, spki_sha256
from mtls_ambassador.pki.issue import make_ca, make_device
from mtls_ambassador.pki.journal import Journal
from mtls_ambassador.pki.lint import check_crl
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import batches, certificates, revocations
from mtls_ambassador.store.audit import read_all, verify
from mtls_ambassador.store.certificates import Reservation
from mtls_ambassador.store.chain import Head
from mtls_ambassador.store.database import open_database
from support.pki import validity

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
PAIR = make_ca("CA", validity())
CA = Authority("root", PAIR.certificate, (), PAIR.key)
HOLD, LIFT = RevocationReason.CERTIFICATE_HOLD, RevocationReason.REMOVE_FROM_CRL
KEY, SUPERSEDED = RevocationReason.KEY_COMPROMISE, RevocationReason.SUPERSEDED


@dataclass(slots=True)
class Bench:
    """A PKI folder and its records; the clock goes on an hour with each step."""

    folder: Path
    now: dt.datetime = NOW

    @property
    def settings(self) -> StoreSettings:
        return StoreSettings(self.folder, None, self.folder / "pki")

    @property
    def journal(self) -> Journal:
        return Journal(self.settings.pki_dir)

    @property
    def crl_path(self) -> Path:
        return self.settings.pki_dir / "crl.pem"

    def revoke(self, reason: RevocationReason, *serials: int, dry_run: bool = False, days: int = 100) -> Revoked:
        self.now += dt.timedelta(hours=1)
        targets = [Target(CA.issuer_sha256, serial, f"dev-{serial}", not_after=NOW + days * DAY) for serial in serials]
        with open_database(self.settings) as database:
            return revoke(database, self.journal, targets, Order(reason, "me", self.now, "note"), dry_run=dry_run)

    def crl(self, *, keep_expired: bool = False) -> WrittenCrl:
        self.now += dt.timedelta(hours=1)
        order = CrlOrder(self.now, 30 * DAY, "me", self.crl_path, keep_expired)
        with open_database(self.settings) as database:
            return write_crl(database, self.journal, CA, order, check_crl)

    def on_crl(self) -> dict[int, str]:
        return {item.serial_number: reason_of(item) for item in x509.load_pem_x509_crl(self.crl_path.read_bytes())}

    def database_files(self) -> list[Path]:
        return list(self.folder.glob("ambassador.db*"))

    def back_up(self, to: Path) -> None:
        to.mkdir()
        for path in self.database_files():
            shutil.copy2(path, to)

    def restore(self, backup: Path) -> None:
        for path in self.database_files():
            path.unlink()
        for path in backup.iterdir():
            shutil.copy2(path, self.folder)


def reason_of(item: x509.RevokedCertificate) -> str:
    return item.extensions.get_extension_for_class(x509.CRLReason).value.reason.value


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


def test_what_is_revoked_is_on_the_next_crl(bench: Bench) -> None:
    assert [item.serial for item in bench.revoke(KEY, 1, 2, 1).changed] == [1, 2]
    written = bench.crl()
    assert (written.number, written.entries) == (1, 2)
    assert bench.on_crl() == {1: "keyCompromise", 2: "keyCompromise"}
    assert bench.crl().number == 2


def test_a_dry_run_changes_nothing(bench: Bench) -> None:
    assert len(bench.revoke(KEY, 1, 2, dry_run=True).changed) == 2
    assert not bench.journal.path.exists()
    assert bench.crl().entries == 0


def test_a_dry_run_restores_nothing_either(bench: Bench) -> None:
    bench.revoke(KEY, 1)
    for path in bench.database_files():
        path.unlink()
    assert len(bench.revoke(KEY, 1, 2, dry_run=True).already) == 1
    with open_database(bench.settings) as database, database.snapshot() as connection:
        assert read_all(connection) == []
        assert revocations.standing(connection, CA.issuer_sha256) == {}


def test_revoking_twice_says_so_and_the_first_stays(bench: Bench) -> None:
    bench.revoke(KEY, 1)
    again = bench.revoke(SUPERSEDED, 1, 2)
    assert [item.serial for item in again.changed] == [2]
    ((target, known),) = again.already
    assert (target.serial, known.reason, known.by, known.note) == (1, KEY, "me", "note")
    bench.crl()
    assert bench.on_crl() == {1: "keyCompromise", 2: "superseded"}


def test_a_hold_can_be_lifted_or_become_final(bench: Bench) -> None:
    bench.revoke(HOLD, 1, 2, 3)
    assert len(bench.revoke(HOLD, 1).already) == 1
    bench.revoke(LIFT, 1)
    bench.revoke(KEY, 2)
    bench.crl()
    assert bench.on_crl() == {2: "keyCompromise", 3: "certificateHold"}
    bench.revoke(HOLD, 1)
    bench.crl()
    assert bench.on_crl() == {1: "certificateHold", 2: "keyCompromise", 3: "certificateHold"}


@pytest.mark.parametrize(("serial", "text"), [(1, "is revoked for good"), (9, "is not revoked")])
def test_only_a_hold_is_lifted_and_all_or_none(bench: Bench, serial: int, text: str) -> None:
    bench.revoke(KEY, 1)
    bench.revoke(HOLD, 2)
    with pytest.raises(AmbassadorError, match=text):
        bench.revoke(LIFT, 2, serial)
    bench.crl()
    assert bench.on_crl() == {1: "keyCompromise", 2: "certificateHold"}


def test_a_restored_database_forgets_nothing_and_uses_no_number_twice(bench: Bench, tmp_path: Path) -> None:
    bench.revoke(KEY, 1)
    bench.revoke(HOLD, 2, 3)
    bench.crl()
    bench.back_up(tmp_path / "backup")
    bench.revoke(KEY, 2, 4)
    bench.revoke(LIFT, 3)
    assert bench.crl().number == 2
    before = bench.on_crl()
    bench.restore(tmp_path / "backup")
    written = bench.crl()
    assert (written.number, written.restored) == (3, 2)
    assert bench.on_crl() == before | {3: "certificateHold"}, "a lifted hold comes back: that fails closed"
    with open_database(bench.settings) as database, database.snapshot() as connection:
        assert "revocations-restored" in [entry.event for entry in read_all(connection)]
        noted = [Head(*item) for item in bench.journal.read().anchors.items()]
        assert "rewritten" in verify(connection, noted).fault or "older state" in verify(connection, noted).fault


@pytest.mark.parametrize("lost", ["database", "journal", "crl", "database and crl", "journal and crl"])
def test_the_number_grows_whatever_is_lost(bench: Bench, lost: str) -> None:
    bench.revoke(KEY, 1)
    last = max(bench.crl().number for _ in range(3))
    paths = {"database": bench.database_files(), "journal": [bench.journal.path], "crl": [bench.crl_path]}
    for name in lost.split(" and "):
        for path in paths[name]:
            path.unlink()
    assert bench.crl().number == last + 1
    assert bench.on_crl() == {1: "keyCompromise"}


def test_a_crl_made_elsewhere_counts(bench: Bench) -> None:
    for _ in range(2):
        bench.crl()
    there = bench.crl_path.read_bytes()
    other = Bench(bench.folder.parent / "other")
    other.settings.pki_dir.mkdir(parents=True)
    other.crl_path.write_bytes(there)
    assert other.crl().number == 3


def test_a_file_that_is_no_crl_is_not_replaced(bench: Bench) -> None:
    bench.settings.pki_dir.mkdir(parents=True)
    bench.crl_path.write_text("my notes")
    with pytest.raises(AmbassadorError, match="is there and is no CRL"):
        bench.crl()
    assert bench.crl_path.read_text() == "my notes"


def test_an_expired_certificate_leaves_after_one_more_crl(bench: Bench) -> None:
    """RFC 5280 section 3.3: it must have been on one that was issued beyond its validity."""
    bench.revoke(KEY, 1, days=2)
    bench.revoke(KEY, 2)
    assert bench.crl().entries == 2
    bench.now += 3 * DAY
    assert bench.crl().entries == 2
    written = bench.crl()
    assert (written.entries, written.left_out) == (1, 1)
    assert bench.on_crl() == {2: "keyCompromise"}
    assert bench.crl(keep_expired=True).entries == 2


def test_one_revoked_after_it_expired_is_on_one_crl_too(bench: Bench) -> None:
    bench.now += 3 * DAY
    bench.crl()
    bench.revoke(KEY, 1, days=2)
    assert bench.crl().entries == 1
    assert bench.crl().entries == 0


def test_what_lint_refuses_leaves_nothing_behind(bench: Bench) -> None:
    bench.revoke(KEY, 1)
    bench.crl()
    before = bench.crl_path.read_bytes()

    def refuse(der: bytes) -> None:
        assert x509.load_der_x509_crl(der)
        raise AmbassadorError("lint")

    order = CrlOrder(bench.now, 30 * DAY, "me", bench.crl_path)
    with open_database(bench.settings) as database, pytest.raises(AmbassadorError, match="lint"):
        write_crl(database, bench.journal, CA, order, refuse)
    assert bench.crl_path.read_bytes() == before
    assert bench.crl().number == 2


def test_a_crash_after_the_journal_leaves_it_revoked(bench: Bench) -> None:
    bench.crl()
    with open_database(bench.settings) as database:
        with database.transaction() as connection:
            connection.exec_driver_sql("ALTER TABLE audit RENAME COLUMN detail TO gone")
        order = Order(KEY, "me", bench.now)
        with pytest.raises(AmbassadorError, match="no column named detail"):
            revoke(database, bench.journal, [Target(CA.issuer_sha256, 5)], order, dry_run=False)
        with database.transaction() as connection:
            connection.exec_driver_sql("ALTER TABLE audit RENAME COLUMN gone TO detail")
            assert revocations.standing(connection, CA.issuer_sha256) == {}
    assert bench.crl().restored == 1
    assert bench.on_crl() == {5: "keyCompromise"}


@pytest.fixture
def on_record(bench: Bench) -> Bench:
    """Serials 1 to 3 in batch `lot`, and 4 outside any."""
    with open_database(bench.settings) as database, database.transaction() as connection:
        batch, _ = batches.open_batch(connection, "lot", bytes(32), CA.issuer_sha256, 3, NOW)
        rows = [Reservation(n, CA.issuer_sha256, f"dev-{n}", "device", batch.id, NOW) for n in (1, 2, 3)]
        rows.append(Reservation(4, CA.issuer_sha256, "dev-1", "device", None, NOW))
        rows.append(Reservation(4, b"\7" * 32, "other", "device", None, NOW))
        certificates.reserve(connection, rows)
    return bench


def targets(bench: Bench, wanted: Wanted, authorities: Authorities) -> list[int]:
    with open_database(bench.settings) as database, database.snapshot() as connection:
        return [target.serial for target in find_targets(connection, wanted, authorities)]


ANY = Authorities(known_authorities([CA.certificate]))
ONLY = replace(ANY, only=CA.issuer_sha256)


def test_named_in_every_way(on_record: Bench) -> None:
    assert targets(on_record, Wanted(serials=(2, 2)), ANY) == [2]
    assert targets(on_record, Wanted(names=("dev-1",)), ANY) == [1, 4]
    assert targets(on_record, Wanted(batches=("lot",)), ANY) == [1, 2, 3]
    assert targets(on_record, Wanted(batches=("1",), serials=(1,)), ANY) == [1, 2, 3]
    assert targets(on_record, Wanted(serials=(4,)), ONLY) == [4]


def test_what_is_not_found_is_named_all_at_once(on_record: Bench) -> None:
    wanted = Wanted(serials=(1, 4, 99), names=("nobody",), batches=("none", "77"), keys=(b"\1" * 32,))
    with pytest.raises(FaultsError) as caught:
        targets(on_record, wanted, ANY)
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "serial 04 is of several CAs",
        "serial 63 was not made here (--unknown takes it all the same)",
        "no certificate has the name 'nobody'",
        f"no certificate has the key {'01' * 32}",
        "there is no batch 'none'",
        "there is no batch '77'",
        "nothing was changed",
    ]


def test_one_made_elsewhere_by_our_ca_may_be_taken_back(on_record: Bench) -> None:
    """As the seed's commands made them, before anything was recorded."""
    made = make_device(PAIR, "old", validity()).certificate
    assert targets(on_record, Wanted(certificates=(made,)), ANY) == [made.serial_number]
    assert targets(on_record, Wanted(serials=(made.serial_number,)), replace(ONLY, allow_unknown=True))
    with open_database(on_record.settings) as database, database.snapshot() as connection:
        (target,) = find_targets(connection, Wanted(certificates=(made,)), ANY)
    assert target.spki_sha256 == spki_sha256(made.public_key())
    assert target.not_after == made.not_valid_after_utc


def test_one_of_a_strangers_ca_is_refused(on_record: Bench) -> None:
    stranger = make_device(make_ca("CA", validity()), "old", validity()).certificate
    with pytest.raises(FaultsError, match="is of no CA that is here"):
        targets(on_record, Wanted(certificates=(stranger,)), ANY)
