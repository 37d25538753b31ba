"""Bringing a database to this version's schema."""

import sqlalchemy as sa

from mtls_ambassador.model.errors import AmbassadorError

HEAD = "0001"
"""The newest migration; a test holds it against the folder."""


def bring_up_to_date(engine: sa.Engine) -> None:
    """Run the migrations that are missing; a database at HEAD costs one query.

    Raises AmbassadorError when a newer version of this program made the database: an older one must not write to it.
    """
    version = _version(engine)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise AmbassadorError(
            f"the database {engine.url!r} has schema {version}, newer than this program's {HEAD}; update the program"
        )
    from mtls_ambassador.store.migrations import upgrade  # noqa: PLC0415 - Alembic is slow to load and rarely needed

    upgrade(engine)


def _version(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
        return str(row[0]) if row else None
