"""One database and the one thread that talks to it.

SQLite has one writer at a time anyway, and one thread makes group commit simple: whatever waits while a transaction
is being written goes into the next one, so a burst of devices costs few syncs to disk.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool, StaticPool

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.settings import StoreSettings

T = TypeVar("T")
MAX_BATCH = 256
READERS = 2
"""Questions of operators answered at once."""
SQLITE_FILE = "ambassador.db"
"""In the state folder, when no database is named."""
_READS = "ambassador_reads"
"""Execution option of a connection that only reads, so that SQLite does not keep others from writing."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[sa.Connection], Any]
    result: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a job, or the fault that ended it."""

    job: _Job
    result: Any = None
    fault: Exception | None = None

    def deliver(self) -> None:
        """In the event loop, which alone may settle a future."""
        if self.job.result.done():
            return
        if self.fault is not None:
            self.job.result.set_exception(self.fault)
        else:
            self.job.result.set_result(self.result)


class Database:
    """Runs functions on a connection, for one event loop, each in a transaction of its own meaning. Close when done."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._file = _file_of(engine)
        place = os.path.realpath(engine.url.database or "")
        self._beside = {Path(place + end): _inode(Path(place + end)) for end in ("-wal", "-shm")}
        """SQLite's log and its index, as they were last seen beside that file; a link to it leads to where they are."""
        self._waiting: list[_Job] = []
        self._is_at_work = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self.on_commit: Callable[[float], None] = lambda _seconds: None
        """Told in the store's thread how long a transaction of `run` took that nothing went wrong with."""
        self._reading: sa.Engine | None = None
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="store-read")

    @property
    def waiting(self) -> int:
        """Pieces of work that no transaction has begun with."""
        return len(self._waiting)

    @property
    def is_replaced(self) -> bool:
        """Whether another file stands where SQLite's stood when this was made: a backup was put there, say."""
        now = _file_of(self.engine)
        if now == self._file and now is not None:
            self._beside = {path: _inode(path) for path in self._beside}
        return now is not None and now != self._file

    @property
    def size(self) -> int:
        """Bytes of an SQLite file with its log; 0 for another database."""
        if self.engine.dialect.name != "sqlite" or not self.engine.url.database:
            return 0
        return sum(_size(Path(self.engine.url.database + end)) for end in ("", "-wal"))

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` and commit; it sees all earlier ones and is all or nothing.

        Fails closed: a fault of the database raises RefusedError STORE_FAILED, and nothing of `work` remains.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future())
        self._waiting.append(job)
        if not self._is_at_work:
            self._is_at_work = True
            # After all that is ready to run now, so that what it brings goes into the same transaction.
            loop.call_soon(self._hand_over)
        try:
            result: T = await job.result
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            raise RefusedError(Reason.STORE_FAILED, _cause(error)[:200]) from error
        return result

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work`, which only reads, on connections of its own: what operators look at keeps no device waiting.

        Raises RefusedError STORE_FAILED for a fault of the database.
        """
        if self._reading is None:
            self._reading = _reading_engine(self.engine)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, self._read, self._reading, work)
        except sa.exc.SQLAlchemyError as error:
            raise RefusedError(Reason.STORE_FAILED, _cause(error)[:200]) from error

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """One transaction for a command, which has no event loop; do not mix with `run` in one process.

        Raises AmbassadorError with what the database says when it cannot go on: full disk, locked, connection lost.
        """
        return self._connected({})

    def snapshot(self) -> AbstractContextManager[sa.Connection]:
        """As `transaction`, only for reading: all of one moment, however long it takes, and in nobody's way."""
        is_sqlite = self.engine.dialect.name == "sqlite"
        level = {} if is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return self._connected({_READS: True, **level})

    @contextmanager
    def _connected(self, options: dict[str, Any]) -> Iterator[sa.Connection]:
        try:
            with self.engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            raise AmbassadorError(f"the database {self.engine.url!r}: {_cause(error)}") from error

    def close(self) -> None:
        """Finish what waits, then disconnect."""
        while self._waiting:
            self._submit()
        self._thread.shutdown()
        self._readers.shutdown()
        is_replaced = self.is_replaced
        self.engine.dispose()
        if self._reading is not None:
            self._reading.dispose()
        if is_replaced:
            self._take_the_log_along()

    def _take_the_log_along(self) -> None:
        """What SQLite had not brought into the old file is of no use to the one in its place: it would be damaged."""
        for path, inode in self._beside.items():
            if inode is not None and _inode(path) == inode:
                path.unlink(missing_ok=True)

    def _read(self, engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
        self._require_file()
        with engine.connect() as connection, connection.begin():
            return work(connection)

    def _hand_over(self) -> None:
        """Give the thread all that waits, one batch at a time; what comes meanwhile makes the next one."""
        self._is_at_work = bool(self._waiting)
        if self._waiting:
            self._submit()

    def _submit(self) -> None:
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._thread.submit(self._commit, batch)

    def _commit(self, batch: list[_Job]) -> None:
        """All jobs in one transaction; when one has a fault, all once more, each behind a savepoint of its own."""
        jobs = [job for job in batch if not job.result.cancelled()]
        began = time.monotonic()
        try:
            self._require_file()
            with self.engine.begin() as connection:
                done = [_Done(job, job.work(connection)) for job in jobs]
        except Exception:  # noqa: BLE001 - whose fault it is, and what is left of it, shows the second time
            done = self._commit_apart(jobs)
        else:
            self.on_commit(time.monotonic() - began)
        batch[0].result.get_loop().call_soon_threadsafe(self._deliver, done)

    def _require_file(self) -> None:
        """Fails closed: what would be written to a file that is gone from its place would be forgotten."""
        if _file_of(self.engine) != self._file:
            raise sa.exc.InvalidRequestError("the database's file is gone, or another one is in its place")

    def _deliver(self, done: list[_Done]) -> None:
        for each in done:
            each.deliver()
        self._hand_over()

    def _commit_apart(self, jobs: list[_Job]) -> list[_Done]:
        """As few transactions as there are jobs that break one, plus one for all the others."""
        told: list[_Done] = []
        while jobs:
            done = self._transact(jobs)
            told += done
            finished = {id(each.job) for each in done}
            jobs = [job for job in jobs if id(job) not in finished]
        return told

    def _transact(self, jobs: list[_Job]) -> list[_Done]:
        """One transaction; when a job's own work breaks it, what is known is the fault of that job alone."""
        done: list[_Done] = []
        began = False
        try:
            self._require_file()
            with self.engine.begin() as connection:
                began = True
                for job in jobs:
                    done.append(_work(connection, job))  # noqa: PERF401 - must hold what was done when one raises
        except Exception as error:  # noqa: BLE001 - whatever it is, each waiting caller must be told
            # When none was at work, begin or commit failed, for all; asking again for each would take as long again.
            at_work = jobs[len(done) : len(done) + 1] if began else []
            return [_Done(job, fault=error) for job in at_work or jobs]
        return done


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _work(connection: sa.Connection, job: _Job) -> _Done:
    try:
        with connection.begin_nested():
            return _Done(job, job.work(connection))
    except sa.exc.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - this job's own fault; the others in the batch go on
        return _Done(job, fault=error)


@contextmanager
def open_database(settings: StoreSettings) -> Iterator[Database]:
    """The database of the settings, brought to this version's schema. Raises AmbassadorError with what is wrong."""
    engine = make_engine(settings)
    try:
        from mtls_ambassador.store.schema import bring_up_to_date  # noqa: PLC0415 - Alembic loads only when needed

        bring_up_to_date(engine)
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        raise AmbassadorError(f"the database {engine.url!r} cannot be used: {_cause(error)}") from error
    except AmbassadorError:
        engine.dispose()
        raise
    database = Database(engine)
    try:
        yield database
    finally:
        database.close()


def _file_of(engine: sa.Engine) -> tuple[int, int] | None:
    """Which file SQLite's is now, as the kernel knows it; None when it is gone, and for other databases."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    return _inode(Path(engine.url.database))


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def make_engine(settings: StoreSettings) -> sa.Engine:
    """SQLite in the state folder, or what MTLS_DATABASE_URL says."""
    if settings.database_url is None:
        return _sqlite(settings.state_dir / SQLITE_FILE)
    try:
        url = sa.make_url(settings.database_url.reveal())
    except sa.exc.ArgumentError:
        raise AmbassadorError("MTLS_DATABASE_URL is not a database URL, such as postgresql://user@host/name") from None
    if url.drivername == "sqlite":
        return _sqlite(Path(url.database or ""))
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    try:
        return sa.create_engine(url, pool_size=2, pool_pre_ping=True)
    except ImportError:
        raise AmbassadorError(
            f"MTLS_DATABASE_URL: no driver for {url.drivername}; install mtls-ambassador[postgresql]"
        ) from None
    except sa.exc.ArgumentError as error:
        raise AmbassadorError(f"MTLS_DATABASE_URL: {error}") from None


def _sqlite(path: Path) -> sa.Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made here with its mode, because SQLite would make it readable for everybody.
        path.touch(mode=0o600)
    except OSError as error:
        raise AmbassadorError(f"MTLS_STATE_DIR: {path} cannot be written: {error.strerror}") from error
    engine = sa.create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": 5}
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _reading_engine(engine: sa.Engine) -> sa.Engine:
    """Another engine for the same database, of whose connections none can write."""
    if engine.dialect.name == "sqlite":
        path = os.fsencode(os.path.realpath(engine.url.database or "")).lstrip(b"/")
        uri = f"file:///{quote(path)}?mode=rw"  # one that reads must not make an empty file
        reading = sa.create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=5),
            poolclass=QueuePool,
            pool_size=READERS,
        )
        sa.event.listen(reading, "connect", _prepare_sqlite_reader)
        sa.event.listen(reading, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return reading
    read_only = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return sa.create_engine(engine.url, pool_size=READERS, pool_pre_ping=True, execution_options=read_only)


def _prepare_sqlite_reader(connection: Any, record: object) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    del record
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


def _prepare_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    del record
    connection.isolation_level = None  # transactions are SQLAlchemy's, with savepoints
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_immediate(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _cause(error: sa.exc.SQLAlchemyError) -> str:
    original = getattr(error, "orig", None)
    return str(original or error).strip().splitlines()[0]
