"""What makes any part of a device's texts findable: an index of three-letter pieces, kept by the database itself.

SQLite has FTS5 with the trigram tokenizer, without a copy of the texts: it names candidates by the device's number, and
the texts themselves say which of them it is. PostgreSQL has pg_trgm, where the database's owner may create extensions.
Where neither can be had, searches look through a bounded number of rows, the newest first.
"""

import sqlalchemy as sa
import structlog

SEARCHED = ("identity", "certificate_serial", "certificate_subject", "device_id")
"""Columns of `device`."""
FTS = "device_text"
TRIGRAMS = "ix_device_search"
LONGEST = 2048
"""Characters of an identity or a subject in SQLite's index: whoever sends longer ones does not make it grow."""


# A claim becomes an acceptance within a second, or goes away: to index it costs an enrolment twice as much again.
_SQLITE = (
    "CREATE VIRTUAL TABLE device_text USING fts5(text, content='', columnsize=0, detail=none, tokenize='trigram')",
    """
    CREATE TRIGGER device_text_added AFTER INSERT ON device WHEN new.standing <> 'claimed' BEGIN
        INSERT INTO device_text (rowid, text) VALUES (new.number, <new>);
    END
    """,
    """
    CREATE TRIGGER device_text_changed AFTER UPDATE ON device
    WHEN (old.standing = 'claimed') <> (new.standing = 'claimed') OR old.number <> new.number OR <old> <> <new> BEGIN
        INSERT INTO device_text (device_text, rowid, text)
            SELECT 'delete', old.number, <old> WHERE old.standing <> 'claimed';
        INSERT INTO device_text (rowid, text) SELECT new.number, <new> WHERE new.standing <> 'claimed';
    END
    """,
    """
    CREATE TRIGGER device_text_removed AFTER DELETE ON device WHEN old.standing <> 'claimed' BEGIN
        INSERT INTO device_text (device_text, rowid, text) VALUES ('delete', old.number, <old>);
    END
    """,
    "INSERT INTO device_text (rowid, text) SELECT number, <device> FROM device WHERE standing <> 'claimed'",
)
_POSTGRESQL = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    f"CREATE INDEX {TRIGRAMS} ON device USING gin ({', '.join(f'{name} gin_trgm_ops' for name in SEARCHED)})",
)
_HAS = {
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE name = 'device_text'",
    "postgresql": f"SELECT count(to_regclass('{TRIGRAMS}'))",
}


def _filled_in(statement: str) -> str:
    for row in ("old", "new", "device"):
        parts = (f"substr({row}.{name}, 1, {LONGEST})" for name in SEARCHED)
        statement = statement.replace(f"<{row}>", " || ' ' || ".join(parts))
    return statement


def make_number(connection: sa.Connection) -> None:
    """What numbers the devices of a database that is made; SQLite needs nothing."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("CREATE SEQUENCE IF NOT EXISTS device_number")


def make_search(connection: sa.Connection) -> None:
    """Make the index over the devices there are; a database that refuses it works without, and the log says so."""
    is_sqlite = connection.dialect.name == "sqlite"
    try:
        with connection.begin_nested():
            for statement in _SQLITE if is_sqlite else _POSTGRESQL:
                connection.exec_driver_sql(_filled_in(statement) if is_sqlite else statement)
    except sa.exc.DBAPIError as error:
        needed = "an SQLite with FTS5" if is_sqlite else "CREATE EXTENSION pg_trgm by the database's owner"
        structlog.get_logger("store").warning("search has no index", needed=needed, reason=str(error.orig).strip())


def has_index(connection: sa.Connection) -> bool:
    """Whether there is one."""
    return bool(connection.exec_driver_sql(_HAS[connection.dialect.name]).scalar_one())
