"""One thread, one transaction for many: what one caller does never costs another anything."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.settings import Secret, StoreSettings
from mtls_ambassador.store.database import MAX_BATCH, SQLITE_FILE, Database, open_database
from mtls_ambassador.store.tables import pin

Work = Callable[[sa.Connection], int]


def insert(number: int) -> Work:
    def work(connection: sa.Connection) -> int:
        row = {
            "spki_sha256": f"{number:064}",
            "identity_sha256": "i",
            "state": "held",
            "issuer": "",
            "subject": "",
            "pinned_at": NOW,
        }
        connection.execute(sa.insert(pin).values(row))
        return number

    return work


NOW = sa.func.current_timestamp()


def count(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(pin)).scalar_one()


class Pause:
    """A job that holds the store's thread until told, so that what comes meanwhile goes into one transaction."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self, connection: sa.Connection) -> None:
        del connection
        assert self.over.wait(30)


async def together(database: Database, *works: Work) -> list[int | BaseException]:
    """Run all in one transaction."""
    pause = Pause()
    async with asyncio.TaskGroup() as tasks:
        held = tasks.create_task(database.run(pause))
        await asyncio.sleep(0)
        running = [asyncio.ensure_future(database.run(work)) for work in works]
        await asyncio.sleep(0)
        pause.over.set()
        await held
        return await asyncio.gather(*running, return_exceptions=True)


async def test_a_burst_costs_one_transaction(database: Database) -> None:
    begun = 0

    def note(connection: sa.Connection) -> None:
        del connection
        nonlocal begun
        begun += 1

    sa.event.listen(database.engine, "begin", note)
    assert await together(database, *map(insert, range(MAX_BATCH))) == list(range(MAX_BATCH))
    assert begun == 2
    assert await database.run(count) == MAX_BATCH


async def test_more_than_a_batch_is_done_as_well(database: Database) -> None:
    works = [insert(number) for number in range(3 * MAX_BATCH)]
    assert await together(database, *works) == list(range(3 * MAX_BATCH))
    assert await database.run(count) == 3 * MAX_BATCH


def half_done_fault(connection: sa.Connection) -> int:
    insert(99)(connection)
    raise ZeroDivisionError


def half_done_wrong_sql(connection: sa.Connection) -> int:
    insert(98)(connection)
    return int(connection.execute(sa.text("SELECT * FROM no_such_table")).scalar_one())


def half_done_duplicate(connection: sa.Connection) -> int:
    insert(97)(connection)
    return insert(97)(connection)


def half_done_operational(connection: sa.Connection) -> int:
    """What a database says of itself (full, locked, interrupted) ends the transaction, unlike what it says of SQL."""
    insert(96)(connection)
    raise sa.exc.OperationalError("statement", {}, Exception("of the database"))


async def test_the_fault_of_one_does_not_hurt_the_others(database: Database) -> None:
    faulty = [half_done_fault, half_done_wrong_sql, half_done_duplicate, half_done_operational]
    works = [insert(0), faulty[0], insert(1), faulty[1], insert(2), faulty[2], insert(3), faulty[3], insert(4)]
    results = await together(database, *works)
    assert [result for result in results if not isinstance(result, BaseException)] == [0, 1, 2, 3, 4]
    assert isinstance(results[1], ZeroDivisionError)
    assert isinstance(results[3], RefusedError)
    assert isinstance(results[5], sa.exc.IntegrityError)
    assert isinstance(results[7], RefusedError)
    assert {results[3].reason, results[7].reason} == {Reason.STORE_FAILED}
    assert await database.run(count) == 5


async def test_one_that_is_cancelled_while_it_waits_is_not_done_and_hurts_nobody(database: Database) -> None:
    pause = Pause()
    held = asyncio.ensure_future(database.run(pause))
    await asyncio.sleep(0)
    cancelled, kept = asyncio.ensure_future(database.run(insert(1))), asyncio.ensure_future(database.run(insert(2)))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    pause.over.set()
    await held
    assert await kept == 2
    assert await database.run(count) == 1


async def test_each_sees_all_before_it(database: Database) -> None:
    assert await together(database, insert(1), count, insert(2), count) == [1, 1, 2, 2]


async def test_what_waits_is_done_before_the_end(migrated: StoreSettings) -> None:
    with open_database(migrated) as database:
        pause = Pause()
        waiting = [asyncio.ensure_future(database.run(work)) for work in (pause, insert(1), insert(2))]
        await asyncio.sleep(0)
        pause.over.set()
    await asyncio.gather(*waiting)
    with open_database(migrated) as database:
        assert await database.run(count) == 2


async def test_failing_and_recovering_need_no_restart(database: Database) -> None:
    await database.run(lambda c: c.execute(sa.text("ALTER TABLE pin RENAME TO hidden")))
    with pytest.raises(RefusedError) as caught:
        await database.run(insert(1))
    assert caught.value.reason is Reason.STORE_FAILED
    await database.run(lambda c: c.execute(sa.text("ALTER TABLE hidden RENAME TO pin")))
    assert await database.run(insert(1)) == 1


@pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
async def test_a_lost_connection_is_a_failure_now_and_none_the_next_time(database: Database) -> None:
    def end_own_connection(connection: sa.Connection) -> int:
        insert(1)(connection)
        return int(connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())")).scalar_one())

    results = await together(database, insert(0), end_own_connection, insert(2))
    assert results[::2] == [0, 2]
    assert isinstance(results[1], RefusedError)
    assert results[1].reason is Reason.STORE_FAILED
    assert await database.run(count) == 2


async def test_a_file_that_is_gone_is_not_written_to_and_is_missed(tmp_path: Path) -> None:
    path = tmp_path / SQLITE_FILE
    with open_database(StoreSettings(tmp_path, None, tmp_path)) as database:
        aside = path.rename(path.with_name("aside"))
        with pytest.raises(RefusedError, match="is gone"):
            await database.run(insert(1))
        assert not path.exists()
        assert not database.is_replaced
        aside.rename(path)
        assert await database.run(insert(2)) == 2


async def test_another_file_in_its_place_is_not_taken_for_it(tmp_path: Path) -> None:
    """What went to the old one would be forgotten with the process; what the new one says has not been checked."""
    path = tmp_path / SQLITE_FILE
    with open_database(StoreSettings(tmp_path, None, tmp_path)) as database:
        copy = path.with_name("copy")
        copy.write_bytes(path.read_bytes())
        copy.replace(path)
        with pytest.raises(RefusedError, match="another one is in its place"):
            await database.run(insert(1))
        assert database.is_replaced


async def test_what_reads_makes_no_empty_file_in_place_of_one_that_is_away(tmp_path: Path) -> None:
    path = tmp_path / SQLITE_FILE
    with open_database(StoreSettings(tmp_path, None, tmp_path)) as database:
        path.rename(path.with_name("aside"))
        for _ in range(3):
            with pytest.raises(RefusedError, match="is gone"):
                await database.read(lambda c: c.exec_driver_sql("SELECT 1").scalar())
        assert not path.exists()


async def test_a_backup_that_is_only_renamed_into_place_gets_nothing_of_the_old_log(tmp_path: Path) -> None:
    path, settings = tmp_path / SQLITE_FILE, StoreSettings(tmp_path, None, tmp_path)
    with open_database(settings) as database:
        await database.run(lambda c: c.exec_driver_sql("CREATE TABLE before (x)"))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp_path / "backup")) as backup:
            source.backup(backup)
        await database.run(lambda c: c.exec_driver_sql("CREATE TABLE since (x)"))
        before = database.is_replaced
        (tmp_path / "backup").rename(path)
        assert (before, database.is_replaced) == (False, True)
    with open_database(settings) as database:
        tables = set(await database.read(lambda c: c.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()))
        assert "before" in tables
        assert "since" not in tables
        assert await database.read(lambda c: c.exec_driver_sql("PRAGMA integrity_check").scalar()) == "ok"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_the_file_is_for_its_owner_alone(settings: StoreSettings) -> None:
    with open_database(settings) as database:
        await database.run(insert(1))
        for path in settings.state_dir.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(settings.state_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "MTLS_DATABASE_URL is not a database URL"),
        ("mysql+nodriver://host/name", "MTLS_DATABASE_URL"),
        ("postgresql://nobody:secret@127.0.0.1:9/none", "cannot be used"),
        ("postgres://nobody:secret@127.0.0.1:9/none", "cannot be used"),
        ("sqlite:////proc/none/x.db", "cannot be written"),
    ],
)
def test_a_url_that_does_not_work_is_named_and_its_password_is_not(
    settings: StoreSettings, url: str, text: str
) -> None:
    with pytest.raises(AmbassadorError, match=text) as caught, open_database(with_url(settings, url)):
        pass
    assert "secret" not in str(caught.value)


def with_url(settings: StoreSettings, url: str) -> StoreSettings:
    return replace(settings, database_url=Secret(url))


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_file_that_is_no_database_is_named(settings: StoreSettings, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    path.write_text("this is no database" * 100)
    with (
        pytest.raises(AmbassadorError, match="file is not a database"),
        open_database(with_url(settings, f"sqlite:///{path}")),
    ):
        pass


async def test_the_log_is_found_where_a_link_leads(tmp_path: Path) -> None:
    """SQLite keeps it beside the file itself."""
    (tmp_path / "data").mkdir()
    path, real = tmp_path / SQLITE_FILE, tmp_path / "data" / "real.db"
    path.symlink_to(real)
    settings = StoreSettings(tmp_path, None, tmp_path)
    with open_database(settings) as database:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp_path / "backup")) as backup:
            source.backup(backup)
        await database.run(lambda c: c.exec_driver_sql("CREATE TABLE since (x)"))
        assert await database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM since").scalar()) == 0
        (tmp_path / "backup").rename(real)
    assert not real.with_name("real.db-wal").exists()
    with open_database(settings) as database:
        tables = set(await database.read(lambda c: c.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()))
    assert "since" not in tables
