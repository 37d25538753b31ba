"""The ledger: bounded whatever comes, and no count is ever lost."""

import asyncio
import datetime as dt
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.flows.ledger import PORTION, ROWS_PER_MINUTE, Ledger, clean
from mtls_ambassador.flows.observation_link import MOST_RUNS, ObservationLink, Unwritten
from mtls_ambassador.flows.observations import address_of, observe
from mtls_ambassador.model.fleet_view import Contact
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.model.refusal import Refusal, RefusalKind
from mtls_ambassador.settings import Limits, StoreSettings
from mtls_ambassador.store.database import Database, open_database
from mtls_ambassador.store.ledger_tables import contact, refusal, tally

NOW = dt.datetime(2026, 11, 28, 7, 0, 30, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(StoreSettings(tmp_path, None, tmp_path)) as opened:
        yield opened


def handshake(clock: Clock, address: str = "192.0.2.1", cause: str = "expired", key: str = "") -> Refusal:
    at = clock()
    return Refusal(at, at, RefusalKind.HANDSHAKE, cause, address=address, spki_sha256=key)


async def rows(database: Database) -> list[SimpleNamespace]:
    chosen = sa.select(refusal).order_by(refusal.c.id)
    return await database.read(lambda c: [SimpleNamespace(**row) for row in c.execute(chosen).mappings()])


async def counts(database: Database, step: int = 60) -> dict[tuple[str, str], int]:
    found: Counter[tuple[str, str]] = Counter()
    chosen = sa.select(tally.c.kind, tally.c.name, tally.c["count"]).where(tally.c.step == step)
    for kind, name, number in await database.read(lambda c: list(c.execute(chosen))):
        found[kind, name] += number
    return dict(found)


async def test_what_is_alike_is_one_row_that_grows(database: Database) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    assert [ledger.refused(handshake(clock)) for _ in range(3)] == [True, False, False]
    await ledger.write(database)
    assert not ledger.refused(handshake(clock))
    await ledger.write(database)
    await ledger.write(database)
    assert [(row.count, row.address) for row in await rows(database)] == [(4, "192.0.2.1")]
    clock.now += MINUTE
    assert ledger.refused(handshake(clock)), "a new minute is news again"
    await ledger.write(database)
    assert [row.count for row in await rows(database)] == [4, 1]
    assert await counts(database) == await counts(database, 3600) == {("handshakes", "expired"): 5}


async def test_a_flood_is_put_together_and_counted(database: Database) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    for number in range(10_000):
        ledger.refused(handshake(clock, f"2001:db8::{number:x}", "not-tls" if number % 2 else "expired"))
    await ledger.write(database)
    found = await rows(database)
    assert len(found) == ROWS_PER_MINUTE + 2
    assert sum(row.count for row in found) == 10_000
    more = 5_000 - ROWS_PER_MINUTE // 2
    assert {row.cause: row.count for row in found if not row.address} == {"expired": more, "not-tls": more}
    assert sum((await counts(database)).values()) == 10_000


async def test_while_the_store_fails_counts_wait_in_bounded_memory(database: Database) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE refusal RENAME TO gone")
    for minute in range(10):
        for number in range(500):
            ledger.refused(handshake(clock, f"192.0.2.{number}-{minute}"))
        with pytest.raises(RefusedError):
            await ledger.write(database)
        clock.now += MINUTE
    assert len(ledger._done) <= 4 * ROWS_PER_MINUTE  # noqa: SLF001 - what is bounded
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO refusal")
    await ledger.write(database)
    assert sum(row.count for row in await rows(database)) == 5_000
    assert await counts(database) == {("handshakes", "expired"): 5_000}


def line(key: str, value: str = "", **fields: object) -> bytes:
    return json.dumps({key: value, "address": "192.0.2.9:4711", **fields}).encode() + b"\n"


async def test_contacts_are_added_up(database: Database) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    for print_ in ("aa", "bb", "aa"):
        observe(ledger, line("connection", fingerprint=print_, serial="0A", tls="TLSv1.3", subject="CN=x"))
    await ledger.write(database)
    clock.now += MINUTE
    observe(ledger, line("connection", fingerprint="aa", serial="0A", tls="TLSv1.2"))
    await ledger.write(database)
    found = await database.read(lambda c: list(c.execute(sa.select(contact).order_by(contact.c.fingerprint_sha256))))
    assert [(row.fingerprint_sha256, row.connections, row.tls_version, row.serial) for row in found] == [
        ("aa", 3, "TLSv1.2", "a"),
        ("bb", 1, "TLSv1.3", "a"),
    ]
    assert (found[0].first_at, found[0].at, found[0].address) == (NOW, NOW + MINUTE, "192.0.2.9")


def test_lines_of_envoy() -> None:
    ledger = Ledger(Clock())
    observe(ledger, line("refused_handshake", "certificate_has_expired", serial="00af"))
    observe(ledger, line("denied_call", "serial"))
    observe(ledger, b'{"lost": 7}\n')
    observe(ledger, line("connection"))
    assert ledger.totals == {("handshakes", "hung-up"): 1, ("handshakes", "expired"): 1, ("denied-calls", "serial"): 1}
    assert ledger.lost == 7
    kept = [row.refusal for row in ledger._rows.values()]  # noqa: SLF001 - before it is written
    assert [(item.serial, item.address) for item in kept] == [("af", "192.0.2.9"), *[("", "192.0.2.9")] * 2]


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_line_breaks_it(text: bytes) -> None:
    ledger = Ledger(Clock())
    observe(ledger, text)
    assert ledger.lost == 1


@given(
    st.dictionaries(
        st.sampled_from(["refused_handshake", "denied_call", "connection", "address", "serial", "certificate", "lost"]),
        st.one_of(st.none(), st.integers(), st.text(max_size=50), st.lists(st.text(max_size=3), max_size=2)),
    )
)
def test_no_value_breaks_it(fields: dict[str, object]) -> None:
    observe(Ledger(Clock()), json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:5", "192.0.2.1"),
        ("[2001:db8::1]:5", "2001:db8::1"),
        ("[::ffff:192.0.2.1]:5", "192.0.2.1"),
        ("", ""),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert address_of(text) == address


async def test_what_is_over_is_dropped(database: Database) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    for number in range(3 * PORTION):
        ledger.refused(handshake(clock, key=f"{number}"))
        clock.now += dt.timedelta(seconds=1)
        if number % PORTION == PORTION - 1:
            await ledger.write(database)
    limits = Limits(ledger_rows=1000, ledger_days=30)
    await clean(database, limits, clock)
    assert len(await rows(database)) == 1000
    clock.now += dt.timedelta(days=31)
    await clean(database, limits, clock)
    assert await rows(database) == []
    assert await counts(database) == {}
    assert await counts(database, 3600) == {("handshakes", "expired"): 3 * PORTION}


async def test_what_is_being_written_is_not_put_together_and_written_again(database: Database) -> None:
    """A store that comes back under attack: the minute turns while many rows are on their way."""
    clock = Clock()
    ledger = Ledger(clock)
    for minute in range(3):
        for number in range(590):
            ledger.refused(handshake(clock, f"192.0.2.{number}-{minute}"))
        clock.now += MINUTE
    writing = asyncio.create_task(ledger.write(database))  # noqa: TID251 - ended below
    while not ledger._is_writing:  # noqa: SLF001, ASYNC110 - it sends no event
        await asyncio.sleep(0)
    clock.now += MINUTE
    ledger.refused(handshake(clock))
    await writing
    await ledger.write(database)
    assert sum(row.count for row in await rows(database)) == 3 * 590 + 1


def test_a_late_word_of_the_minute_before_does_not_begin_it_again() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    assert ledger.refused(handshake(clock))
    early = handshake(clock)
    clock.now += MINUTE
    assert ledger.refused(handshake(clock))
    assert not ledger.refused(early)
    assert not ledger.refused(handshake(clock))


async def test_a_last_contact_never_goes_backwards(database: Database) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    old = Contact("aa", "a", "", "", clock(), clock(), "192.0.2.1", "TLSv1.2", 1)
    new = replace(old, first_at=NOW + MINUTE, at=NOW + MINUTE, address="192.0.2.2", tls_version="TLSv1.3")
    for item in (new, old):  # as after a write that failed
        ledger.met(item)
    await ledger.write(database)
    (found,) = await database.read(lambda c: list(c.execute(sa.select(contact))))
    assert (found.first_at, found.at, found.address, found.connections) == (NOW, NOW + MINUTE, "192.0.2.2", 2)


async def test_lines_that_waited_for_the_service_come_without_another_one() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        link = ObservationLink(path)
        got: list[bytes] = []
        link._news.clear()  # noqa: SLF001 - as a connection that ended has left it
        link.send(b"one")
        link._news.clear()  # noqa: SLF001 - see above

        async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.append(await reader.readline())
            writer.close()

        server = await asyncio.start_unix_server(read, path)
        async with server, asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(link.keep())
            async with asyncio.timeout(20):
                while not got:  # noqa: ASYNC110 - a socket of the test's own
                    await asyncio.sleep(0.01)
            keeping.cancel()
        assert got == [b"one\n"]


def test_what_a_dead_service_had_not_written_is_known() -> None:
    unwritten = Unwritten()
    unwritten.add(1, 3)
    unwritten.add(1, 0)
    unwritten.add(40)
    unwritten.add(1, 2)
    assert unwritten.total == 45
    for written, left in ((0, 45), (2, 43), (2, 43), (4, 2), (5, 1), (99, 0)):
        unwritten.written(written)
        assert unwritten.total == left


def test_what_is_not_written_for_long_is_known_in_bounded_memory() -> None:
    unwritten = Unwritten()
    for _ in range(3 * MOST_RUNS):
        unwritten.add(7)
        unwritten.add(1, 2)
    assert unwritten.total == 3 * MOST_RUNS * 9
    assert len(unwritten._runs) <= MOST_RUNS  # noqa: SLF001 - memory is what is promised
    unwritten.written(9 * MOST_RUNS)
    assert 0 < unwritten.total < 3 * MOST_RUNS * 9, "rather too much is told than too little"
