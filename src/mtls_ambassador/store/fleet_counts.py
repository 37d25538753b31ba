"""How many devices, certificates and denials there are: each by an index alone. Works in the caller's transaction."""

import datetime as dt

import sqlalchemy as sa

from mtls_ambassador.model.fleet_view import FleetCounts
from mtls_ambassador.store.denial_tables import denial
from mtls_ambassador.store.ledger_tables import contact
from mtls_ambassador.store.pki_tables import certificate, revocation
from mtls_ambassador.store.tables import device

SILENT = dt.timedelta(days=7)
EXPIRING = dt.timedelta(days=30)


def count(connection: sa.Connection, now: dt.datetime) -> FleetCounts:
    """Silent are those without a connection in the last 7 days, expiring those that end in the next 30."""
    standings = sa.select(device.c.standing, sa.func.count()).group_by(device.c.standing)
    ends = certificate.c.not_after
    return FleetCounts(
        {row[0]: row[1] for row in connection.execute(standings)},
        _count(connection, contact, contact.c.at < now - SILENT),
        _count(connection, certificate),
        _count(connection, certificate, ends >= now, ends < now + EXPIRING),
        _count(connection, revocation),
        _count(
            connection, denial, denial.c.lifted_at.is_(None), sa.or_(denial.c.until.is_(None), denial.c.until > now)
        ),
    )


def _count(connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return int(connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0)
