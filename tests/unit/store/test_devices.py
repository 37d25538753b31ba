"""Records, claims and pins: who holds what, also when two replicas try at the same time."""

import datetime as dt
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TypeVar

import pytest
import sqlalchemy as sa

from mtls_ambassador.decide.enrol import CLAIM_LASTS
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import DeviceRecord, Pin, PinFacts, PinState, Standing
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import devices
from mtls_ambassador.store.audit import AuditEntry, append, read_all
from mtls_ambassador.store.database import Database, open_database
from mtls_ambassador.store.tables import device

T = TypeVar("T")
NOW = dt.datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=dt.UTC)
X, Y = Identity.parse('{"mac":"x"}'), Identity.parse('{"mac":"y"}')


def certificate(key: str, subject: str = "CN=a", issuer: str = "CN=ca") -> DeviceCertificate:
    return DeviceCertificate(0xABC, issuer, subject, key, "f", NOW, NOW, {})


A, B = certificate("a"), certificate("b", "CN=b")


async def record_of(database: Database, identity: Identity = X) -> DeviceRecord | None:
    return await database.run(lambda c: devices.read_record(c, identity))


async def pins_of(database: Database, identity: Identity, presented: DeviceCertificate) -> PinFacts:
    return await database.run(lambda c: devices.read_pins(c, identity, presented))


async def claim(database: Database, presented: DeviceCertificate, now: dt.datetime = NOW) -> bool:
    return await database.run(lambda c: devices.claim(c, X, presented, now))


async def accept(database: Database, presented: DeviceCertificate = A, key: str = "k", now: dt.datetime = NOW) -> None:
    await database.run(lambda c: devices.record_accepted(c, X, presented, key, "device-id", now))


async def test_a_claim_is_for_one_certificate_until_it_is_void(database: Database) -> None:
    assert await record_of(database) is None
    assert await claim(database, A)
    assert await record_of(database) == DeviceRecord(Standing.CLAIMED, "", "", "a", NOW)
    assert not await claim(database, B)
    assert not await claim(database, B, NOW + CLAIM_LASTS)
    assert await claim(database, A, NOW + CLAIM_LASTS)
    late = NOW + 2 * CLAIM_LASTS + dt.timedelta(microseconds=1)
    assert await claim(database, B, late)
    assert not await claim(database, A, late)


async def test_a_claim_is_let_go_by_its_holder_alone(database: Database) -> None:
    await claim(database, A)
    await database.run(lambda c: devices.release(c, X, B))
    assert not await claim(database, B)
    await database.run(lambda c: devices.release(c, X, A))
    assert await record_of(database) is None


async def test_nobody_claims_what_was_enrolled_meanwhile(database: Database) -> None:
    """Another replica was faster: the facts this claim rests on are out of date."""
    await accept(database)
    assert not await claim(database, A)
    assert not await claim(database, B)
    await database.run(lambda c: devices.record_withdrawn(c, X, NOW))
    assert not await claim(database, A)


async def test_of_two_replicas_one_gets_a_new_identity(migrated: StoreSettings) -> None:
    with open_database(migrated) as one, open_database(migrated) as other:
        await claim(one, A)
        with pytest.raises(sa.exc.IntegrityError):
            await other.run(blindly(X, B))
        assert (await record_of(other)) == DeviceRecord(Standing.CLAIMED, "", "", "a", NOW)


def blindly(identity: Identity, presented: DeviceCertificate) -> Callable[[sa.Connection], object]:
    """A claim whose first look came before the other's: the table's key stands in the way."""
    values = {"identity_sha256": identity.sha256, "identity": "", "standing": "claimed", "updated_at": NOW}
    return lambda c: c.execute(sa.insert(device).values(values | {"claimed_by": presented.spki_sha256}))


async def test_accepted_then_withdrawn_then_accepted_with_another_key(database: Database) -> None:
    await claim(database, A)
    await accept(database)
    assert await record_of(database) == DeviceRecord(Standing.ACCEPTED, "k", "device-id", "", NOW)
    later = NOW + dt.timedelta(hours=1)
    await database.run(lambda c: devices.record_withdrawn(c, X, later))
    assert await record_of(database) == DeviceRecord(Standing.WITHDRAWN, "", "device-id", "", later)
    await database.run(lambda c: devices.release(c, X, A))
    await accept(database, B, "k2", later)
    assert await record_of(database) == DeviceRecord(Standing.ACCEPTED, "k2", "device-id", "", later)
    row = await database.run(lambda c: c.execute(sa.select(device)).mappings().one())
    assert (row["enrolled_at"], row["certificate_subject"]) == (NOW, "CN=b")


async def test_a_withdrawal_of_nothing_is_nothing(database: Database) -> None:
    await database.run(lambda c: devices.record_withdrawn(c, X, NOW))
    assert await record_of(database) is None


HELD, RELEASED = PinState.HELD, PinState.RELEASED


async def hold(database: Database, identity: Identity, presented: DeviceCertificate) -> None:
    await database.run(lambda c: devices.pin_key(c, identity, presented, HELD, NOW))


async def test_pins(database: Database) -> None:
    assert await pins_of(database, X, A) == PinFacts()
    await hold(database, X, A)
    await hold(database, X, A)
    assert await pins_of(database, X, A) == PinFacts(X.sha256, HELD)
    held = (Pin("a", "CN=ca", "CN=a"),)
    assert await pins_of(database, X, B) == PinFacts(holders=held)
    assert await pins_of(database, Y, A) == PinFacts(X.sha256, HELD, subject_is_shared=True)
    renewed = replace(A, spki_sha256="a2")
    assert await pins_of(database, X, renewed) == PinFacts(holders=held)
    assert await pins_of(database, Y, renewed) == PinFacts(subject_is_shared=True)
    other_ca = replace(renewed, issuer="CN=other")
    assert await pins_of(database, Y, other_ca) == PinFacts()


async def test_a_key_cannot_be_pinned_to_a_second_identity(database: Database) -> None:
    await hold(database, X, A)
    with pytest.raises(sa.exc.IntegrityError):
        await hold(database, Y, A)
    assert (await pins_of(database, Y, A)).key_speaks_for == X.sha256


async def test_released_pins_and_moves(database: Database) -> None:
    await hold(database, X, A)
    await hold(database, Y, B)
    for _ in range(2):
        await database.run(lambda c: devices.move(c, X, B, NOW))
    assert await pins_of(database, X, B) == PinFacts(X.sha256, HELD)
    assert await pins_of(database, X, A) == PinFacts(X.sha256, RELEASED, (Pin("b", "CN=ca", "CN=b"),))
    assert await pins_of(database, Y, B) == PinFacts(X.sha256, HELD, subject_is_shared=True)
    await database.run(lambda c: devices.release_pins(c, X))
    assert await pins_of(database, X, A) == PinFacts(X.sha256, RELEASED)
    await database.run(lambda c: devices.forget_key(c, A))
    assert await pins_of(database, X, A) == PinFacts()


async def test_facts_survive_a_restart(migrated: StoreSettings) -> None:
    with open_database(migrated) as database:
        await accept(database)
        await hold(database, X, A)
    with open_database(migrated) as database:
        assert await record_of(database) == DeviceRecord(Standing.ACCEPTED, "k", "device-id", "", NOW)
        assert (await pins_of(database, X, A)).key_speaks_for == X.sha256


async def test_times_have_a_zone_or_are_refused(database: Database) -> None:
    elsewhere = NOW.astimezone(dt.timezone(dt.timedelta(hours=5)))
    await accept(database, now=elsewhere)
    record = await record_of(database)
    assert record
    assert (record.updated_at, record.updated_at.tzinfo) == (NOW, dt.UTC)
    with pytest.raises(RefusedError, match="a time without a zone"):
        await accept(database, now=NOW.replace(tzinfo=None))


async def test_an_audit_entry_comes_back_as_it_went_in(database: Database) -> None:
    entry = AuditEntry(NOW, **{field.name: f"<{field.name}>" for field in fields(AuditEntry) if field.name != "at"})
    await database.run(lambda c: append(c, entry))
    await database.run(lambda c: append(c, AuditEntry(NOW, "event", "reason")))
    assert await database.run(read_all) == [entry, AuditEntry(NOW, "event", "reason")]


@pytest.mark.parametrize("text", ["x" * 70_000, "\0" * 3, "\udcff\ud800", "ä\U0001f600" * 4000])
async def test_whatever_a_device_sent_can_be_written_down(database: Database, text: str) -> None:
    """PostgreSQL holds a column to its length and takes neither NUL nor half a character."""
    names = {field.name for field in fields(AuditEntry)} - {"at"}
    await database.run(lambda c: append(c, AuditEntry(NOW, **dict.fromkeys(names, text))))
    (entry,) = await database.run(read_all)
    assert len(entry.detail) <= 1024
    assert 0 < len(entry.request_id) <= 64


async def test_a_serial_longer_than_any_standard_allows(database: Database) -> None:
    await accept(database, replace(A, serial=2**400))
    assert await record_of(database)


async def test_a_huge_identity(database: Database) -> None:
    huge = Identity.parse('{"mac":"' + "x" * 60_000 + '"}')
    await database.run(lambda c: devices.record_accepted(c, huge, A, "k", "id", NOW))
    assert await record_of(database, huge)
