"""A database that has lost denials, by being restored from a backup, lets nobody in unnoticed."""

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtls_ambassador.flows.denial_journal import DenialJournal, complaint, lost
from mtls_ambassador.flows.denial_targets import Selection
from mtls_ambassador.flows.deny import Denied, Order, deny
from mtls_ambassador.flows.lift_denials import lift
from mtls_ambassador.flows.put_back_denials import put_back_all
from mtls_ambassador.flows.store_denials import StoreWatch, collect
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.errors import AmbassadorError, FaultsError
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.revocation import serial_hex
from mtls_ambassador.model.store_denials import StoreDenials
from mtls_ambassador.pki.issue import make_ca, make_device
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.store import audit, denials
from mtls_ambassador.store.database import Database
from mtls_ambassador.store.denial_tables import denial, seen
from support.client import until
from support.pki import validity

NOW = dt.datetime.now(dt.UTC)
ORDER = Order("keyCompromise", "mé", NOW, 'no"te\n')
DENIALS = [
    Denial(DenialKind.SERIAL, "keyCompromise", "mé", NOW, serial=(1 << 160) - 1, issuer="CN=CA", note='no"te\n'),
    Denial(DenialKind.SERIAL, "unspecified", "me", NOW, serial=0, until=NOW + dt.timedelta(days=1)),
    Denial(DenialKind.KEY, "unspecified", "me", NOW, spki_sha256="ab" * 32),
    Denial(DenialKind.BATCH, "unspecified", "me", NOW, batch_id=7),
    Denial(DenialKind.DATES, "unspecified", "me", NOW, begins=NOW, ends=NOW + dt.timedelta(days=1)),
    Denial(DenialKind.CA, "unspecified", "me", NOW, issuer="CN=CA"),
]


@pytest.fixture
def journal(tmp_path: Path) -> DenialJournal:
    return DenialJournal(tmp_path / "journal")


def deny_serial(database: Database, journal: DenialJournal, serial: int, order: Order = ORDER) -> Denied:
    return deny(database, journal, Selection(serials=(serial,)), order, {}, dry_run=False)


def restore_older(database: Database) -> None:
    """What a backup from before the newest denial brings."""
    with database.transaction() as connection:
        newest = connection.scalar(sa.select(sa.func.max(denial.c.id)))
        connection.execute(sa.delete(denial).where(denial.c.id == newest))
        denials.touch(connection)


def forget_all(connection: sa.Connection) -> None:
    connection.execute(sa.delete(denial))
    denials.touch(connection)


def missing(database: Database, journal: DenialJournal, now: dt.datetime = NOW) -> list[str]:
    with database.transaction() as connection:
        return [item.what for item in lost(connection, journal, now)]


def test_each_kind_is_read_back_as_it_was_noted(journal: DenialJournal) -> None:
    journal.denied(DENIALS)
    assert journal.read() == DENIALS
    journal.lifted([replace(DENIALS[2], number=9)], NOW)
    assert journal.read() == [*DENIALS[:2], *DENIALS[3:]]


def test_whose_the_folder_is_may_read_it_whoever_wrote_first(journal: DenialJournal) -> None:
    """An administrator denies as root, and the gateway is another user."""
    folder = journal.path.parent
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    journal.denied(DENIALS)
    assert (journal.path.stat().st_uid, journal.path.stat().st_gid) == (folder.stat().st_uid, folder.stat().st_gid)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "{}",
        '{"event":"forgiven","kind":"serial","serial":"0F","at":"2026-11-28T00:00:00+00:00"}',
        '{"event":"denied","kind":"serial","at":"2026-11-28T00:00:00+00:00"}',
        '{"event":"denied","kind":"key","spki_sha256":"ab","at":"2026-11-28T00:00:00"}',
    ],
)
def test_a_line_that_cannot_be_read_is_named(journal: DenialJournal, line: str) -> None:
    journal.denied(DENIALS[:1])
    with journal.path.open("a") as file:
        file.write(f"{line}\n")
    journal.denied(DENIALS[1:2])
    with pytest.raises(AmbassadorError, match=r"denials\.jsonl: line 2 is not a line"):
        journal.read()


def test_what_both_have_is_not_lost(database: Database, journal: DenialJournal) -> None:
    with database.transaction() as connection:
        denials.add(connection, DENIALS)
    journal.denied(DENIALS)
    assert missing(database, journal) == []


def test_what_a_restored_database_lost_is_told_and_put_back(database: Database, journal: DenialJournal) -> None:
    deny_serial(database, journal, 15)
    deny_serial(database, journal, 16)
    restore_older(database)
    assert missing(database, journal) == ["serial 10"]
    told = complaint(journal, journal.read()[1:])
    assert "has 1 denial that the database has lost" in told
    assert "serial 10 (by mé," in told
    assert "`mtls-ambassador device denials --take-over` puts back" in told
    assert [item.what for item in put_back_all(database, journal, NOW)] == ["serial 10"]
    assert missing(database, journal) == []
    with database.transaction() as connection:
        assert audit.read_all(connection)[-1].detail == 'put back from the journal, serial 10, by mé: no"te\n'


def lose_key_with_certificate(database: Database, journal: DenialJournal) -> DeviceCertificate:
    """One that was shown, and denied by its key."""
    certificate = device_certificate(make_device(make_ca("CA", validity()), "a", validity()).certificate_pem)
    identity = Identity.parse('{"mac":"a"}')
    with database.transaction() as connection:
        denials.remember(connection, identity, certificate, NOW)
    deny(database, journal, Selection(identities=(identity,)), ORDER, {}, dry_run=False)
    with database.transaction() as connection:
        connection.execute(sa.delete(denial))
        connection.execute(sa.delete(seen))
    return certificate


def test_what_changes_nothing_notes_nothing(database: Database, journal: DenialJournal) -> None:
    lose_key_with_certificate(database, journal)
    before = journal.path.read_bytes()
    done = deny(database, journal, Selection(serials=(16,)), ORDER, {}, dry_run=True)
    assert [item.kind.value for item in done.put_back] == ["key", "serial"]
    assert journal.path.read_bytes() == before
    with pytest.raises(FaultsError, match="nothing was changed"):
        deny(database, journal, Selection(batches=("none",)), ORDER, {}, dry_run=False)
    assert journal.path.read_bytes() == before


def test_certificates_of_a_key_that_were_lost_too_are_denied_by_serial(
    database: Database, journal: DenialJournal
) -> None:
    """Without them, Envoy could not tell whose calls to refuse."""
    certificate = lose_key_with_certificate(database, journal)
    kinds = [item.kind.value for item in put_back_all(database, journal, NOW)]
    assert kinds == ["key", "serial"]
    with database.transaction() as connection:
        assert collect(connection, NOW).of_issuers == {"CN=CA": (f"{certificate.serial:040x}",)}
    assert missing(database, journal) == []
    restore_older(database)
    assert missing(database, journal) == [f"serial {serial_hex(certificate.serial)} of CN=CA"]


def test_the_next_denial_puts_back_what_was_lost(database: Database, journal: DenialJournal) -> None:
    deny_serial(database, journal, 15)
    restore_older(database)
    done = deny_serial(database, journal, 16)
    assert [item.what for item in done.put_back] == ["serial 0F"]
    assert missing(database, journal) == []


def test_what_was_lost_can_be_lifted_on_purpose(database: Database, journal: DenialJournal) -> None:
    deny_serial(database, journal, 15)
    restore_older(database)
    done = lift(database, journal, (), Selection(serials=(15,)), ORDER, {})
    assert [item.what for item in done.lifted] == ["serial 0F"]
    assert missing(database, journal) == []
    assert journal.read() == []


def test_what_was_lifted_or_is_over_is_not_lost(database: Database, journal: DenialJournal) -> None:
    deny_serial(database, journal, 15, replace(ORDER, until=NOW + dt.timedelta(hours=1)))
    deny_serial(database, journal, 16)
    lift(database, journal, (), Selection(serials=(16,)), ORDER, {})
    with database.transaction() as connection:
        connection.execute(sa.delete(denial))
    assert missing(database, journal) == ["serial 0F"]
    assert missing(database, journal, NOW + dt.timedelta(hours=1)) == []


def test_a_lifting_that_only_the_database_has_counts(database: Database, journal: DenialJournal) -> None:
    deny_serial(database, journal, 15)
    with database.transaction() as connection:  # as after a crash before the journal had it
        denials.lift(connection, [item.number for item in denials.standing(connection)], "me", NOW)
    assert missing(database, journal) == []


def test_a_denial_that_cannot_be_noted_is_not_made(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AmbassadorError, match="cannot be"):
        deny_serial(database, DenialJournal(tmp_path / "file"), 15)
    with database.transaction() as connection:
        assert denials.standing(connection) == []
        assert audit.read_all(connection) == []


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "store-denials.json"


def read(written: Path) -> StoreDenials:
    return StoreDenials.from_json(written.read_text())


@asynccontextmanager
async def watching(watch: StoreWatch) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watch.keep())
        yield
        task.cancel()


async def test_a_gateway_does_not_begin_without_what_was_lost(
    database: Database, journal: DenialJournal, written: Path
) -> None:
    deny_serial(database, journal, 15)
    restore_older(database)
    watch = StoreWatch(database, journal, written, lambda: NOW)
    with pytest.raises(AmbassadorError, match=r"lost, as one restored from a backup has: serial 0F"):
        await watch.begin()
    with pytest.raises(FileNotFoundError):
        read(written)


async def test_a_running_gateway_keeps_what_was_lost_in_force(
    database: Database, journal: DenialJournal, written: Path
) -> None:
    serial = f"{15:040x}"
    deny_serial(database, journal, 15)
    watch = StoreWatch(database, journal, written, lambda: NOW)
    await watch.begin()
    assert (read(written).serials, read(written).fault) == ((serial,), "")
    async with watching(watch):
        await database.run(forget_all)
        await until(lambda: "serial 0F" in read(written).fault)
        assert read(written).serials == (serial,)
        await database.run(lambda c: denials.add(c, journal.read()))
        await until(lambda: not read(written).fault)
        assert read(written).serials == (serial,)


async def test_a_journal_that_breaks_changes_nothing(database: Database, journal: DenialJournal, written: Path) -> None:
    deny_serial(database, journal, 15)
    watch = StoreWatch(database, journal, written, lambda: NOW)
    await watch.begin()
    whole = journal.path.read_bytes()
    async with watching(watch):
        journal.path.write_text("nonsense\n")
        await until(lambda: "line 1 is not a line" in read(written).fault)
        assert read(written).serials == (f"{15:040x}",)
        journal.path.write_bytes(whole)
        await until(lambda: not read(written).fault)
