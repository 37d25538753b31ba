"""One row for every decision, never changed."""

import datetime as dt
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from mtls_ambassador.store.tables import audit

_INSERT = sa.insert(audit)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What was decided, about whom, for whom; texts a device sent are cut, so that no row grows past reason."""

    at: dt.datetime
    event: str
    reason: str
    detail: str = ""
    identity_sha256: str = ""
    identity: str = ""
    auth_key_sha256: str = ""
    certificate_serial: str = ""
    certificate_subject: str = ""
    certificate_issuer: str = ""
    certificate_spki_sha256: str = ""
    address: str = ""
    request_id: str = ""


def append(connection: sa.Connection, entry: AuditEntry) -> None:
    """Write one entry in the caller's transaction: what it tells of is committed with it or not at all."""
    connection.execute(_INSERT, {name: _cut(value) for name, value in asdict(entry).items()})


def _cut(value: object) -> object:
    # PostgreSQL takes no NUL in a text.
    return value.replace("\0", "\ufffd")[:1024] if isinstance(value, str) else value


def read_all(connection: sa.Connection) -> list[AuditEntry]:
    """Every entry, oldest first."""
    columns = [column for column in audit.c if column.name != "id"]
    rows = connection.execute(sa.select(*columns).order_by(audit.c.id)).mappings()
    return [AuditEntry(**row) for row in rows]
