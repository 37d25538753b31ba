"""One row for every decision, never changed."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from mtls_ambassador.store.tables import audit

_INSERT = sa.insert(audit)
_NAMES = [column.name for column in audit.c if not column.primary_key]
_LENGTHS = {column.name: getattr(column.type, "length", None) or 1024 for column in audit.c}


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
    connection.execute(_INSERT, {name: _cut(name, getattr(entry, name)) for name in _NAMES})


def _cut(name: str, value: object) -> object:
    """A text as the column takes it: PostgreSQL refuses one that is too long, has a NUL, or is no Unicode."""
    if not isinstance(value, str):
        return value
    text = value[: _LENGTHS[name]].replace("\0", "\ufffd")
    return text if text.isascii() else text.encode(errors="replace").decode()


def read_all(connection: sa.Connection) -> list[AuditEntry]:
    """Every entry, oldest first."""
    columns = [column for column in audit.c if column.name != "id"]
    rows = connection.execute(sa.select(*columns).order_by(audit.c.id)).mappings()
    return [AuditEntry(**row) for row in rows]
