"""What operators read of devices: found by any part of any text, a page at a time, on either database."""

import datetime as dt
import random

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.device import PinState, Standing
from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.fleet_view import DeviceQuery
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.store import cursor, denials, devices, fleet_detail, fleet_devices
from mtls_ambassador.store.audit import AuditEntry, append
from mtls_ambassador.store.database import Database
from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.ledger_tables import contact, refusal
from mtls_ambassador.store.search import spellings
from mtls_ambassador.store.tables import device

NOW = dt.datetime(2026, 11, 28, 6, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def identity_of(number: int) -> Identity:
    return Identity.parse(f'{{"mac":"52:54:00:00:{number // 256:02x}:{number % 256:02x}"}}')


def certificate_of(number: int) -> DeviceCertificate:
    print_ = f"{number:064x}"
    subject = f"CN=Camera-{number:04},O=Größe"
    return DeviceCertificate(0x4F1C9A << 8 | number, "CN=CA", subject, print_, print_, NOW - DAY, NOW + DAY, {})


def enrol(database: Database, number: int, *, last: dt.datetime | None = None) -> None:
    identity, own = identity_of(number), certificate_of(number)
    with database.transaction() as connection:
        devices.claim(connection, identity, own, NOW)
        devices.record_accepted(connection, identity, own, "k" * 64, f"6f1c-{number:04}-mender", NOW)
        devices.pin_key(connection, identity, own, PinState.HELD, NOW)
        denials.remember(connection, identity, own, NOW)
        connection.execute(sa.update(seen).values(fingerprint_sha256=seen.c.spki_sha256))
        if last is not None:
            values = {"fingerprint_sha256": own.fingerprint_sha256, "serial": own.serial_hex, "subject": own.subject}
            more = {"first_at": NOW, "at": last, "address": "192.0.2.1", "tls_version": "TLSv1.3", "connections": 1}
            connection.execute(sa.insert(contact).values(issuer="CN=CA", **values, **more))


def numbers(database: Database, **asked: object) -> list[int]:
    """Of the devices found, page after page."""
    found: list[int] = []
    after = ""
    while True:
        with database.snapshot() as connection:
            page = fleet_devices.page(connection, DeviceQuery(after=after, **asked))  # type: ignore[arg-type]  # fields
        found += [int(row.device_id.split("-")[1] or 0) if row.device_id else -1 for row in page.items]
        after = page.next
        if not after:
            return found


@pytest.fixture
def fleet(database: Database) -> Database:
    for number in range(1, 31):
        enrol(database, number, last=NOW - number * DAY if number % 3 else None)
    return database


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", list(range(30, 0, -1))),
        ("camera-0007", [7]),
        ("ERA-001", list(range(19, 9, -1))),
        ("00:1e", [30]),
        ("00:1E", [30]),
        ("4f1c9a0b", [11]),
        ("4F:1C:9A:0B", [11]),
        ("6f1c-0021", [21]),
        ("021-mender", [21]),
        ("7,", [27, 17, 7]),
        ("%", []),
        ("_", []),
        ("camera_0007", []),
        ("Camera-0007,O=Größe", [7]),
        ("nothing has this", []),
        ('"', list(range(30, 0, -1))),
        ('"mac":"', list(range(30, 0, -1))),
        ("mac AND NOT", []),
        ("a\0b", []),
        ("Ca\0era", []),
    ],
)
def test_found_by_any_part_of_any_text(fleet: Database, text: str, expected: list[int]) -> None:
    if fleet.engine.dialect.name == "postgresql" and "\0" in text:
        text = text.replace("\0", "\ufffd")  # no text of PostgreSQL's has one
    assert numbers(fleet, text=text, limit=7) == expected


def test_what_changes_is_found_as_it_is_now(fleet: Database) -> None:
    renewed = DeviceCertificate(0xABCDEF, "CN=CA", "CN=renamed", "f" * 64, "f" * 64, NOW, NOW + DAY, {})
    with fleet.transaction() as connection:
        devices.record_accepted(connection, identity_of(5), renewed, "k" * 64, "6f1c-0005-mender", NOW)
        connection.execute(sa.delete(device).where(device.c.identity_sha256 == identity_of(6).sha256))
        devices.record_withdrawn(connection, identity_of(8), NOW)
    assert numbers(fleet, text="camera-0005") == []
    assert numbers(fleet, text="renamed") == [5]
    assert numbers(fleet, text="camera-0006") == []
    assert numbers(fleet, text="camera-0008") == [8]


def test_one_that_is_being_enrolled_is_found_too(fleet: Database) -> None:
    with fleet.transaction() as connection:
        devices.claim(connection, identity_of(99), certificate_of(99), NOW)
    assert numbers(fleet, text="camera-0099") == [-1]
    assert numbers(fleet, standing=Standing.CLAIMED) == [-1]
    with fleet.transaction() as connection:
        devices.release(connection, identity_of(99), certificate_of(99))
    assert numbers(fleet, text="camera-0099") == []


def test_search_agrees_with_looking_at_every_text(fleet: Database) -> None:
    """Parts of what is there, of every length and place, and the same with a letter changed."""
    luck = random.Random(5)  # noqa: S311 - the same each time
    with fleet.snapshot() as connection:
        rows = fleet_devices.page(connection, DeviceQuery(limit=500)).items
    texts = [
        (row.device_id, [row.identity, row.certificate_serial, row.certificate_subject, row.device_id]) for row in rows
    ]
    for _ in range(150):
        source = luck.choice(luck.choice(texts)[1])
        begin = luck.randrange(len(source))
        part = source[begin : begin + luck.randint(1, 24)]
        if luck.random() < 0.3:
            part = part[:-1] + luck.choice("0aZ-:,")
        if not part.isascii():
            continue
        ways = [way.lower() for way in spellings(part)]
        wanted = [
            int(own.split("-")[1])
            for own, all_of in texts
            if any(way in text.lower() for text in all_of for way in ways)
        ]
        assert numbers(fleet, text=part, limit=11) == wanted, part


def test_filters(fleet: Database) -> None:
    with fleet.transaction() as connection:
        devices.record_withdrawn(connection, identity_of(4), NOW)
    assert numbers(fleet, standing=Standing.WITHDRAWN) == [4]
    assert 4 not in numbers(fleet, standing=Standing.ACCEPTED, limit=10)
    silent = [number for number in range(30, 0, -1) if number % 3 == 0 or number > 20]
    assert numbers(fleet, silent_since=NOW - 20 * DAY - dt.timedelta(hours=1), limit=4) == silent
    assert numbers(fleet, silent_since=NOW - 21 * DAY, text="camera-002") == list(range(29, 20, -1))
    assert numbers(fleet, silent_since=NOW - 21 * DAY, standing=Standing.WITHDRAWN) == []


def test_the_last_contact_is_shown(fleet: Database) -> None:
    with fleet.snapshot() as connection:
        rows = fleet_devices.page(connection, DeviceQuery()).items
    assert [(row.last_at, row.last_address) for row in rows[:2]] == [(None, ""), (NOW - 29 * DAY, "192.0.2.1")]


def test_where_no_index_can_tell_a_page_ends_after_a_bounded_number_of_rows(
    fleet: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_devices, "SLICES", (2, 5))
    with fleet.snapshot() as connection:
        page = fleet_devices.page(connection, DeviceQuery(text="1,"))
    assert [row.device_id for row in page.items] == []
    assert page.next
    assert numbers(fleet, text="1,") == [21, 11, 1]
    assert numbers(fleet, text="1,", limit=1) == [21, 11, 1]


def test_a_search_that_takes_long_ends_with_what_it_has(fleet: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """All devices are found all the same, a page later."""
    expected = numbers(fleet, text="camera-000")
    monkeypatch.setattr(fleet_devices, "WINDOW", 4)
    monkeypatch.setattr(fleet_devices, "PATIENCE", -1)
    with fleet.snapshot() as connection:
        page = fleet_devices.page(connection, DeviceQuery(text="camera-0001"))
    if fleet.engine.dialect.name == "sqlite":
        assert (page.items, bool(page.next)) == ((), True)
    assert numbers(fleet, text="camera-000") == expected


@pytest.mark.parametrize("window", [1, 3, 100])
@pytest.mark.parametrize("limit", [1, 4, 50])
@pytest.mark.parametrize("text", ["camera-000", "camera-0003", "Camera", "nothing has this"])
def test_what_few_have_is_found_behind_what_is_looked_at_first(
    fleet: Database, monkeypatch: pytest.MonkeyPatch, text: str, limit: int, window: int
) -> None:
    expected = numbers(fleet, text=text)
    monkeypatch.setattr(fleet_devices, "SLICES", (2, 5, 5))
    monkeypatch.setattr(fleet_devices, "WINDOW", window)
    monkeypatch.setattr(fleet_devices, "PATIENCE", 60)
    assert numbers(fleet, text=text, limit=limit) == expected
    assert len(expected) == {"camera-000": 9, "camera-0003": 1, "Camera": 30}.get(text, 0)


def test_a_store_whose_database_refuses_the_index_is_searched_too(fleet: Database) -> None:
    is_sqlite = fleet.engine.dialect.name == "sqlite"
    with fleet.transaction() as connection:
        if is_sqlite:
            for name in ("added", "changed", "removed"):
                connection.exec_driver_sql(f"DROP TRIGGER device_text_{name}")
        connection.exec_driver_sql("DROP TABLE device_text" if is_sqlite else "DROP INDEX ix_device_search")
    assert numbers(fleet, text="camera-001", limit=3) == list(range(19, 9, -1))


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_limit_out_of_bounds_is_named(database: Database, limit: int) -> None:
    with database.snapshot() as connection, pytest.raises(UsageError, match=r"limit: must be 1 to 500"):
        fleet_devices.page(connection, DeviceQuery(limit=limit))


@pytest.mark.parametrize(
    "after",
    [
        "x",
        "=",
        "é",
        cursor.pack("event", 3),
        cursor.pack("device", 3) + "A",
        cursor.pack("device", -1),
        cursor.pack("device", 2**63),
        cursor.pack("device", 3)[:-1],
        "W10",
        "bnVsbA",
        "A" * 5000,
        "WyJkZXZpY2UiLHRydWUsIiJd",
        cursor.pack("device", 1, "\0"),
    ],
)
def test_only_a_next_of_ours_is_taken(database: Database, after: str) -> None:
    with database.snapshot() as connection, pytest.raises(UsageError, match="after: is not the `next` of a page"):
        fleet_devices.page(connection, DeviceQuery(after=after))


def test_paging_is_stable_while_devices_come(fleet: Database) -> None:
    with fleet.snapshot() as connection:
        first = fleet_devices.page(connection, DeviceQuery(limit=10))
    enrol(fleet, 31)
    with fleet.snapshot() as connection:
        second = fleet_devices.page(connection, DeviceQuery(limit=10, after=first.next))
    assert [row.device_id for row in second.items] == [f"6f1c-{number:04}-mender" for number in range(20, 10, -1)]


def test_a_device_in_full(fleet: Database) -> None:
    own, identity = certificate_of(7), identity_of(7)
    with fleet.transaction() as connection:
        denials.add(
            connection,
            [
                Denial(DenialKind.KEY, "keyCompromise", "marta", NOW, spki_sha256=own.spki_sha256),
                Denial(DenialKind.SERIAL, "unspecified", "marta", NOW, serial=own.serial, issuer="CN=Other"),
                Denial(DenialKind.SERIAL, "unspecified", "marta", NOW, serial=own.serial, until=NOW - DAY),
            ],
        )
        append(connection, AuditEntry(NOW, "enrol", "enrolled", "", identity.sha256, identity.canonical))
        refused = dict.fromkeys([column.name for column in refusal.c if isinstance(column.type, sa.String)], "")
        refused |= {"kind": "handshake", "cause": "expired", "spki_sha256": own.spki_sha256}
        connection.execute(sa.insert(refusal).values(first_at=NOW, at=NOW, count=2, **refused))
    with fleet.snapshot() as connection:
        found = fleet_detail.read(connection, identity.sha256, NOW)
        assert fleet_detail.read(connection, "0" * 64, NOW) is None
        assert fleet_devices.with_serial(connection, own.serial) == [identity.sha256]
    assert found is not None
    assert found.row.identity == identity.canonical
    assert [pin.state for pin in found.pins] == [PinState.HELD]
    assert [(item.serial, item.contact.at if item.contact else None) for item in found.certificates] == [
        (own.serial_hex, NOW - 7 * DAY)
    ]
    assert [item.kind for item in found.denials] == [DenialKind.KEY]
    assert [item.event for item in found.events] == ["enrol"]
    assert [(item.cause, item.count) for item in found.refusals] == [("expired", 2)]
