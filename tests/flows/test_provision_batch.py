"""A batch with a real CA, store and file system, and worker processes."""

import datetime as dt
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from mtls_ambassador.flows.batch_files import CERTIFICATE, KEY, Format
from mtls_ambassador.flows.batch_maker import Recipe
from mtls_ambassador.flows.batch_manifest import shred, verify
from mtls_ambassador.flows.batch_outlet import FolderOutlet, Outlet, StreamOutlet
from mtls_ambassador.flows.batch_records import BatchRecords
from mtls_ambassador.flows.batch_run import Outcome, Work
from mtls_ambassador.flows.provision_batch import Ordered, digest_of, provision
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki import folder
from mtls_ambassador.pki.folder import AuthorityHandle, NewAuthority
from mtls_ambassador.pki.issue import KeyKind, Validity, make_ca
from mtls_ambassador.pki.journal import Journal
from mtls_ambassador.pki.order import Order, counted_order
from mtls_ambassador.pki.order_csv import read_order
from mtls_ambassador.pki.profiles import DeviceProfile
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import certificates
from mtls_ambassador.store.certificates import Filter, Status
from mtls_ambassador.store.database import Database, open_database

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


class Factory:
    """A CA, a store, and the making of batches."""

    def __init__(self, tmp_path: Path, database: Database, kind: KeyKind = KeyKind.P256) -> None:
        self.pki, self.out, self.database = tmp_path / "pki", tmp_path / "out", database
        pair = make_ca("CA", Validity.days(NOW, 9999), kind=kind)
        folder.add(self.pki, NewAuthority("root", pair.certificate, key=pair.key, passphrase=b"secret"))
        self.handle = AuthorityHandle(self.pki / "root", b"secret")
        self.authority = self.handle.open()
        self.linted: list[bytes] = []

    def ordered(self, order: Order, name: str = "b1", **more: object) -> Ordered:
        self.out.mkdir(exist_ok=True)
        outlet, kind = more.pop("outlet", FolderOutlet(self.out)), more.pop("kind", KeyKind.P256)
        assert isinstance(outlet, Outlet)
        assert isinstance(kind, KeyKind)
        profile = DeviceProfile()
        recipe = Recipe(self.handle, profile, profile.validity(NOW), kind, outlet.new_deliverer)
        if isinstance(outlet, FolderOutlet):
            more.setdefault("manifest", self.out / "manifest.jsonl")
        work = Work(order, outlet, recipe, jobs=2, clock=lambda: NOW, **more)  # type: ignore[arg-type]  # see callers
        return Ordered(name, recipe, work)

    def make(self, ordered: Ordered) -> Outcome:
        return provision(self.records(), self.authority, ordered, self.linted.append)

    def records(self) -> BatchRecords:
        return BatchRecords(self.database, self.pki, self.authority.issuer_sha256, "me", NOW)

    def rows(self, **wanted: object) -> list[certificates.Record]:
        with self.database.engine.begin() as connection:
            return list(certificates.select(connection, Filter(**wanted)))  # type: ignore[arg-type]  # see callers


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    settings = StoreSettings(tmp_path / "state", None, tmp_path / "pki")
    settings.state_dir.mkdir()
    with open_database(settings) as database:
        yield Factory(tmp_path, database)


def test_makes_what_was_ordered_once(factory: Factory) -> None:
    text = b"name,O,identity.mac\n" + b"".join(b"dev-%d,Acme %d,52:54:%d\n" % (n, n % 3, n) for n in range(300))
    ordered = factory.ordered(read_order(text, "o"))
    outcome = factory.make(ordered)
    assert (outcome.made, outcome.is_finished, outcome.voided) == (300, True, 0)
    rows = factory.rows()
    assert {row.status for row in rows} == {Status.DONE}
    assert len({row.serial for row in rows}) == 300
    for row in rows[::50]:
        certificate = x509.load_pem_x509_certificate((factory.out / row.name / CERTIFICATE).read_bytes())
        certificate.verify_directly_issued_by(factory.authority.certificate)
        key_file = factory.out / row.name / KEY
        assert load_pem_private_key(key_file.read_bytes(), None).public_key() == certificate.public_key()
        assert key_file.stat().st_mode & 0o777 == 0o600
        assert (certificate.serial_number, certificate.subject.rfc4514_string()) == (row.serial, row.subject)
        assert certificate.public_bytes(Encoding.DER) == row.der
        assert (certificate.not_valid_before_utc, certificate.not_valid_after_utc) == (row.not_before, row.not_after)
    verdict = verify(factory.out, factory.authority.certificate)
    assert (verdict.devices, verdict.whole, verdict.faults) == (300, 300, [])
    assert '"identity":{"mac":"52:54:7"}' in (factory.out / "manifest.jsonl").read_text()
    before = (factory.out / "manifest.jsonl").stat().st_mtime_ns
    again = factory.make(ordered)
    assert (again.made, again.done_before, again.is_finished) == (0, 300, True)
    assert (factory.out / "manifest.jsonl").stat().st_mtime_ns == before
    assert len(factory.rows()) == 300


def test_one_lint_for_certificates_alike(factory: Factory) -> None:
    factory.make(factory.ordered(counted_order(300, "dev-{n:06}")))
    assert len(factory.linted) == 2  # the example, and the shape of all


def test_lint_error_stops_everything(factory: Factory) -> None:
    def refuse(der: bytes) -> None:
        if b"dev-" in der and factory.linted:
            raise AmbassadorError("lint: no")
        factory.linted.append(der)

    ordered = factory.ordered(counted_order(200, "dev-{n}"))
    with pytest.raises(AmbassadorError, match="lint: no"):
        provision(factory.records(), factory.authority, ordered, refuse)
    assert {row.status for row in factory.rows()} == {Status.RESERVED}
    assert not list(factory.out.iterdir())


def test_changed_order_under_the_same_name_is_refused(factory: Factory) -> None:
    factory.make(factory.ordered(counted_order(3, "dev-{n}")))
    with pytest.raises(AmbassadorError, match="batch 'b1' of 2026-06-01 00:00 had another order"):
        factory.make(factory.ordered(counted_order(4, "dev-{n}")))
    assert len(factory.rows()) == 3


def test_new_batch_refuses_a_folder_with_something_in_it(factory: Factory) -> None:
    factory.out.mkdir()
    (factory.out / "precious").touch()
    with pytest.raises(AmbassadorError, match="not empty"):
        factory.make(factory.ordered(counted_order(3, "dev-{n}")))
    assert not factory.rows()


def test_never_overwrites(factory: Factory) -> None:
    stopped = factory.make(factory.ordered(counted_order(3, "dev-{n}"), is_stopped=lambda: True))
    assert (stopped.was_stopped, stopped.made) == (True, 0)
    (factory.out / "dev-2").mkdir()
    (factory.out / "dev-2" / CERTIFICATE).write_text("mine")
    with pytest.raises(AmbassadorError, match=f"dev-2/{CERTIFICATE}: is there already"):
        factory.make(factory.ordered(counted_order(3, "dev-{n}")))
    assert (factory.out / "dev-2" / CERTIFICATE).read_text() == "mine"


def test_lost_key_means_a_new_serial_and_the_old_one_revoked(factory: Factory) -> None:
    ordered = factory.ordered(counted_order(5, "dev-{n}"))
    factory.make(ordered)
    with factory.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE certificate SET status='issued', done_at=NULL")
    (factory.out / "dev-1" / KEY).unlink()
    (factory.out / "dev-2" / KEY).write_bytes(b"")
    (factory.out / "dev-3" / CERTIFICATE).unlink()
    outcome = factory.make(ordered)
    assert (outcome.adopted, outcome.voided, outcome.made, outcome.is_finished) == (2, 3, 3, True)
    void = factory.rows(status=Status.VOID)
    assert sorted(row.name for row in void) == ["dev-1", "dev-2", "dev-3"]
    assert {row.revocation_reason for row in void} == {"superseded"}
    assert {serial for _, serial in Journal(factory.pki).read().lines} == {row.serial for row in void}
    assert len(factory.rows(status=Status.DONE)) == 5
    (factory.out / "manifest.jsonl").unlink()
    factory.make(ordered)
    assert verify(factory.out, factory.authority.certificate).whole == 5


def test_foreign_files_of_a_device_stop_the_recovery(factory: Factory) -> None:
    ordered = factory.ordered(counted_order(2, "dev-{n}"))
    factory.make(ordered)
    with factory.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE certificate SET status='issued', done_at=NULL")
    (factory.out / "dev-1").rename(factory.out / "x")
    (factory.out / "dev-2").rename(factory.out / "dev-1")
    with pytest.raises(AmbassadorError, match="dev-1: holds a certificate or key that is not of this batch"):
        factory.make(ordered)


def test_two_at_once(factory: Factory) -> None:
    ordered = factory.ordered(counted_order(2, "dev-{n}"))
    with factory.records().lock(digest_of(ordered)), pytest.raises(AmbassadorError, match="another process"):
        factory.make(ordered)
    assert factory.make(ordered).is_finished
    assert not list(factory.pki.glob(".batch*"))


def test_tar(factory: Factory, tmp_path: Path) -> None:
    order = counted_order(150, "dev-{n}")
    with (tmp_path / "all.tar").open("wb") as stream:
        ordered = factory.ordered(order, outlet=StreamOutlet(stream, Format.TAR, b"{}"))
        assert factory.make(ordered).is_finished
    with tarfile.open(tmp_path / "all.tar") as archive:
        members = archive.getmembers()
        assert len(members) == 450
        assert {member.mode for member in members if member.name.endswith(KEY)} == {0o600}
        found = archive.extractfile(f"dev-150/{CERTIFICATE}")
        assert found is not None
        assert x509.load_pem_x509_certificate(found.read()).subject.rfc4514_string() == "CN=dev-150"


def test_pem_lines_go_to_a_file(factory: Factory, tmp_path: Path) -> None:
    with (tmp_path / "all.pem").open("wb") as stream:
        ordered = factory.ordered(counted_order(3, "dev-{n}"), outlet=StreamOutlet(stream, Format.PEM))
        assert factory.make(ordered).is_finished
    text = (tmp_path / "all.pem").read_bytes()
    assert text.startswith(b"# dev-1\n-----BEGIN PRIVATE KEY-----\n")
    assert len(x509.load_pem_x509_certificates(text)) == 3


@pytest.mark.parametrize("kind", [KeyKind.P384, KeyKind.ED25519, KeyKind.RSA])
def test_device_keys_of_other_kinds(factory: Factory, kind: KeyKind) -> None:
    assert factory.make(factory.ordered(counted_order(2, "dev-{n}"), kind=kind)).is_finished
    assert verify(factory.out, factory.authority.certificate).whole == 2


def test_shred_and_what_verify_says(factory: Factory) -> None:
    factory.make(factory.ordered(counted_order(4, "dev-{n}")))
    ca = factory.authority.certificate
    (factory.out / "dev-4" / KEY).chmod(0o644)
    (factory.out / "stranger").mkdir()
    (factory.out / "dev-3" / CERTIFICATE).write_bytes((factory.out / "dev-1" / CERTIFICATE).read_bytes())
    assert sorted(verify(factory.out, ca).faults) == [
        "dev-3: holds another certificate or key than the manifest says",
        "dev-4/mender-cert-private.pem: mode 644, should be 600",
        "stranger: is not in the manifest",
    ]
    assert shred(factory.out, ca) == 4
    assert not list(factory.out.glob(f"*/{KEY}"))
    assert verify(factory.out, ca).shredded == 3
    with (factory.out / "manifest.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(AmbassadorError, match="changed after it was signed"):
        shred(factory.out, ca)


def test_stop_between_lots_and_go_on(factory: Factory) -> None:
    order = counted_order(1000, "dev-{n}")
    seen: list[int] = []
    ordered = factory.ordered(order, on_progress=lambda done, _: seen.append(done), is_stopped=lambda: bool(seen))
    first = factory.make(ordered)
    assert first.was_stopped
    assert 0 < first.made < 1000
    assert seen == sorted(seen)
    assert seen[-1] == first.made
    second = factory.make(factory.ordered(order))
    assert (second.done_before, second.voided, second.is_finished) == (first.made, 0, True)
    assert verify(factory.out, factory.authority.certificate).whole == 1000
