"""Can the database be reached? Nothing is made in it; SQLite's file is the state folder's business."""

import asyncio

import sqlalchemy as sa

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.finding import Finding, fail, ok
from mtls_ambassador.settings import Settings
from mtls_ambassador.store.database import make_engine

_CONNECT_TIMEOUT = 10


async def check_database(settings: Settings) -> list[Finding]:
    """Log in to PostgreSQL and ask for nothing; no finding for SQLite. No text holds the password."""
    if settings.database_url is None or settings.database_url.reveal().startswith("sqlite"):
        return []
    return [await asyncio.to_thread(_connect, settings)]


def _connect(settings: Settings) -> Finding:
    name = "database"
    try:
        engine = make_engine(settings.store)
    except AmbassadorError as error:
        return fail(name, str(error), "mend MTLS_DATABASE_URL")
    sa.event.listen(engine, "do_connect", _limit_time)
    shown = f"{engine.url.host or 'local socket'}/{engine.url.database or ''}"
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        return fail(name, f"{shown}: {cause}", "check host, user, password and database name of MTLS_DATABASE_URL")
    finally:
        engine.dispose()
    return ok(name, f"{shown} lets the gateway in")


def _limit_time(dialect: object, record: object, arguments: object, parameters: dict[str, object]) -> None:
    del dialect, record, arguments
    parameters.setdefault("connect_timeout", _CONNECT_TIMEOUT)
