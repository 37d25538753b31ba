"""Bringing a database to this version's schema."""

import sqlalchemy as sa

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.store.chain import start
from mtls_ambassador.store.denial_tables import DENIAL_TABLES, begin
from mtls_ambassador.store.ledger_tables import LEDGER_TABLES
from mtls_ambassador.store.pki_tables import PKI_TABLES
from mtls_ambassador.store.search_index import make_number, make_search
from mtls_ambassador.store.tables import TABLES, metadata

HEAD = "0006"
"""The newest migration; a test holds it against the folder."""

_LOCK = 0x6D746C73
"""Key of the PostgreSQL advisory lock under which only one replica changes the schema."""
_VERSION = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own record of where a database stands."""


def bring_up_to_date(engine: sa.Engine) -> None:
    """Make the tables of an empty database, or run the migrations an older one lacks; all or nothing.

    Raises AmbassadorError when a newer version of this program made the database: an older one must not write to it.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        tables = sa.inspect(connection).get_table_names()
        if _VERSION.name not in tables:
            _make(connection)
            return
        version = connection.execute(sa.select(_VERSION.c.version_num)).scalar_one()
        if version > HEAD:
            raise AmbassadorError(
                f"the database {engine.url!r} has schema {version}, newer than this program's {HEAD};"
                " update the program"
            )
        if version < HEAD:
            from mtls_ambassador.store.migrations import upgrade  # noqa: PLC0415 - Alembic is slow to load

            upgrade(connection)


def _make(connection: sa.Connection) -> None:
    """Without Alembic, which would cost a first start a quarter of a second; a test holds both ways to one result."""
    make_number(connection)
    metadata.create_all(connection, tables=[*TABLES, *PKI_TABLES, *DENIAL_TABLES, *LEDGER_TABLES])
    start(connection)
    begin(connection)
    make_search(connection)
    _VERSION.create(connection)
    connection.execute(sa.insert(_VERSION).values(version_num=HEAD))
