"""The migrations make exactly the tables the program uses, once, whoever runs them."""

import datetime as dt
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import migrations
from mtls_ambassador.store.audit import AuditEntry, append, verify
from mtls_ambassador.store.chain import NAMES
from mtls_ambassador.store.database import make_engine, open_database
from mtls_ambassador.store.schema import HEAD, bring_up_to_date
from mtls_ambassador.store.search_index import FTS, TRIGRAMS, has_index
from mtls_ambassador.store.tables import metadata
from support.postgres import Postgres


def test_head_is_the_newest_file() -> None:
    files = sorted(path.name[:4] for path in (Path(migrations.__file__).parent / "versions").glob("[0-9]*.py"))
    assert files[-1] == HEAD
    assert files == [f"{number:04}" for number in range(1, len(files) + 1)]


def is_a_table_of_ours(name: str | None, kind: str, parents: object) -> bool:
    """The search index is the database's own: its extension or its virtual table, which may be refused."""
    del parents
    return not ((kind == "table" and (name or "").startswith(FTS)) or name == TRIGRAMS)


def is_another_default(context: object, inspected: object, own: sa.Column[Any], *defaults: object) -> bool | None:
    """A sequence's next value never equals itself; None for all other columns means: compare them."""
    del context, inspected, defaults
    return False if own.name == "number" else None


def differences(engine: sa.Engine) -> list[object]:
    with engine.connect() as connection:
        assert has_index(connection)
        options = {
            "compare_type": True,
            "compare_server_default": is_another_default,
            "include_name": is_a_table_of_ours,
        }
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))


def test_a_new_database_has_the_tables_in_use(settings: StoreSettings) -> None:
    with open_database(settings) as database:
        assert differences(database.engine) == []


def test_migrations_make_the_tables_in_use(settings: StoreSettings) -> None:
    engine = make_engine(settings)
    with engine.begin() as connection:
        migrations.upgrade(connection)
    assert differences(engine) == []
    bring_up_to_date(engine)
    engine.dispose()


def test_opening_again_changes_nothing(settings: StoreSettings) -> None:
    for _ in range(2):
        with open_database(settings):
            pass


def test_a_database_of_a_newer_program_is_refused_and_left_alone(settings: StoreSettings) -> None:
    with open_database(settings):
        pass
    engine = make_engine(settings)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(AmbassadorError, match=r"schema 9999, newer than this program's"), open_database(settings):
        pass
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    engine.dispose()


OPEN = """
import os, sys
from mtls_ambassador.settings import Secret, StoreSettings
from mtls_ambassador.store.database import open_database
from pathlib import Path
state, url = sys.argv[1:]
settings = StoreSettings(Path(state), Secret(url) if url else None, Path(state) / "pki")
print("loaded", flush=True)
sys.stdin.readline()
with open_database(settings):
    print("open")
"""


def test_several_processes_may_migrate_at_once(settings: StoreSettings) -> None:
    """Every replica of a new version does, when it starts."""
    url = settings.database_url.reveal() if settings.database_url else ""
    command = [sys.executable, "-c", OPEN, str(settings.state_dir), url]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == "loaded\n"
    with ThreadPoolExecutor(len(started)) as pool:
        results = list(pool.map(lambda process: process.communicate("go\n", timeout=60), started))
    assert [(process.returncode, *result) for process, result in zip(started, results, strict=True)] == [
        (0, "open\n", "")
    ] * len(started)


@pytest.mark.parametrize("is_migrated", [False, True])
def test_a_gateway_of_an_older_version_beside_this_one_still_enrols(postgres: Postgres, *, is_migrated: bool) -> None:
    """Replicas on PostgreSQL are updated one after the other; an older one does not know that devices have numbers."""
    engine = sa.create_engine(sa.make_url(postgres.database()).set(drivername="postgresql+psycopg"))
    columns = "identity_sha256, identity, standing, auth_key_sha256, device_id, claimed_by, certificate_serial"
    insert = f"INSERT INTO device ({columns}, certificate_subject, updated_at) VALUES (:own, '', 'accepted', '', '', '', '', '', now())"  # noqa: S608, E501 - ours
    with engine.begin() as connection:
        if is_migrated:
            migrations.upgrade(connection, "0005")
            connection.execute(sa.text(insert), [{"own": "a"}, {"own": "b"}])
    bring_up_to_date(engine)
    with engine.begin() as connection:
        connection.execute(sa.text(insert), [{"own": "c"}, {"own": "d"}])
        numbers = connection.execute(sa.text("SELECT number FROM device ORDER BY identity_sha256")).scalars().all()
    engine.dispose()
    assert numbers == sorted(set(numbers))


def test_an_older_file_gets_its_audit_chained(settings: StoreSettings) -> None:
    """Made by the first version, with rows in it whose numbers have gaps, as PostgreSQL's sequences leave them."""
    engine = make_engine(settings)
    with engine.begin() as connection:
        migrations.upgrade(connection, "0001")
        names = [name for name in NAMES if name != "at"]
        values = ", ".join(f"'{name[:3]}'" for name in names)
        for number in (1, 2, 5):
            at = f"'2026-11-0{number} 12:00:00.5'"
            row = f"INSERT INTO audit (id, at, {', '.join(names)}) VALUES ({number}, {at}, {values})"  # noqa: S608 - ours
            connection.execute(sa.text(row))
    bring_up_to_date(engine)
    assert differences(engine) == []
    engine.dispose()
    with open_database(settings) as database, database.transaction() as connection:
        verdict = verify(connection)
        assert (verdict.rows, verdict.fault, verdict.head.last_id) == (3, "", 5)
        append(connection, AuditEntry(dt.datetime(2026, 11, 23, tzinfo=dt.UTC), "event", "reason"))
        assert verify(connection).rows == 4
        connection.execute(sa.text("UPDATE audit SET reason = 'other' WHERE id = 2"))
        assert "row 2 " in verify(connection).fault
