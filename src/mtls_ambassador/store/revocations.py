"""Revocations in force, and the CRLs made of them. Each function works in the caller's transaction."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.revocation import CrlEntry, Revocation, RevocationReason
from mtls_ambassador.store import denials
from mtls_ambassador.store.pki_tables import certificate, crl, revocation

Key = tuple[bytes, int]
AT_ONCE = 500
_COLUMNS = (
    revocation.c.issuer_sha256,
    revocation.c.serial,
    revocation.c.reason,
    revocation.c.at,
    revocation.c.by,
    revocation.c.note,
    revocation.c.not_after,
)
_ALL = sa.select(*_COLUMNS)
_THIS = sa.and_(
    revocation.c.issuer_sha256 == sa.bindparam("its_issuer"), revocation.c.serial == sa.bindparam("its_serial")
)
_OF_ISSUER = revocation.c.issuer_sha256 == sa.bindparam("its_issuer")
_FIND = _ALL.where(_OF_ISSUER, revocation.c.serial.in_(sa.bindparam("its_serials", expanding=True)))
_RAW_SERIAL = sa.type_coerce(revocation.c.serial, sa.LargeBinary)
_STANDING = sa.select(_RAW_SERIAL, revocation.c.reason).where(_OF_ISSUER)
_FOR_CRL = (
    sa.select(
        _RAW_SERIAL,
        revocation.c.reason,
        sa.type_coerce(revocation.c.at, sa.types.NullType()),
        sa.type_coerce(revocation.c.not_after, sa.types.NullType()),
    )
    .where(_OF_ISSUER)
    .order_by(revocation.c.serial)
)
_DELETE = sa.delete(revocation).where(_THIS)
_REASONS = {reason.value: reason for reason in RevocationReason}


def revoke(connection: sa.Connection, revocations: Iterable[Revocation]) -> None:
    """Record revocations, for every gateway too; one that is there already is replaced, so look first (`find`)."""
    values = [
        {
            "issuer_sha256": item.issuer_sha256,
            "serial": item.serial,
            "reason": item.reason.value,
            "at": item.at,
            "by": item.by,
            "note": item.note,
            "not_after": item.not_after,
        }
        for item in revocations
    ]
    if values:
        lift(connection, ((item["issuer_sha256"], item["serial"]) for item in values))
        connection.execute(sa.insert(revocation), values)


def lift(connection: sa.Connection, keys: Iterable[tuple[Any, Any]]) -> None:
    """These are in force no longer; every gateway takes it."""
    values = [{"its_issuer": issuer, "its_serial": serial} for issuer, serial in keys]
    if values:
        denials.touch(connection)
        connection.execute(_DELETE, values)


def find(connection: sa.Connection, keys: Iterable[Key]) -> dict[Key, Revocation]:
    """Those of the certificates that are revoked."""
    by_issuer: dict[bytes, list[int]] = {}
    for issuer, serial in keys:
        by_issuer.setdefault(issuer, []).append(serial)
    found: dict[Key, Revocation] = {}
    for issuer, serials in by_issuer.items():
        for first in range(0, len(serials), AT_ONCE):
            asked = {"its_issuer": issuer, "its_serials": serials[first : first + AT_ONCE]}
            found |= {item.key: item for item in map(_revocation, connection.execute(_FIND, asked))}
    return found


def standing(connection: sa.Connection, issuer_sha256: bytes) -> dict[int, RevocationReason]:
    """Serial and reason of all of a CA."""
    rows = connection.execute(_STANDING, {"its_issuer": issuer_sha256})
    return {int.from_bytes(serial): _REASONS[reason] for serial, reason in rows}


def for_crl(connection: sa.Connection, issuer_sha256: bytes) -> list[CrlEntry]:
    """All of a CA, in the order of serials; written for speed, because there may be a hundred thousand."""
    rows = connection.execute(_FOR_CRL, {"its_issuer": issuer_sha256})
    times = _Times()
    return [
        CrlEntry(int.from_bytes(serial), _REASONS[reason], times[at], times[end]) for serial, reason, at, end in rows
    ]


class _Times(dict[Any, Any]):
    """From what the driver gives for a time to the time; many rows share one."""

    def __missing__(self, raw: dt.datetime | str | None) -> dt.datetime | None:
        value = dt.datetime.fromisoformat(raw) if isinstance(raw, str) else raw
        if value is not None:
            value = value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
        self[raw] = value
        return value


def without_record(connection: sa.Connection) -> Iterator[Revocation]:
    """Those of certificates that were not made here."""
    is_known = sa.and_(
        certificate.c.serial == revocation.c.serial, certificate.c.issuer_sha256 == revocation.c.issuer_sha256
    )
    unknown = sa.not_(sa.exists().where(is_known).correlate(revocation))
    return (_revocation(row) for row in connection.execute(_ALL.where(unknown)).all())


def _revocation(row: Sequence[Any]) -> Revocation:
    issuer, serial, reason, at, by, note, not_after = row
    return Revocation(issuer, serial, _REASONS[reason], at, by, note, not_after)


@dataclass(frozen=True, slots=True)
class CrlRecord:
    """A CRL that was made."""

    issuer_sha256: bytes
    number: int
    this_update: dt.datetime
    next_update: dt.datetime
    entries: int
    sha256: bytes
    """Of the CRL in DER."""


def record_crl(connection: sa.Connection, record: CrlRecord) -> None:
    """Raises sqlalchemy.exc.IntegrityError when the number was used before."""
    values = {column.name: getattr(record, column.name) for column in crl.c}
    connection.execute(sa.insert(crl), values)


def last_crl(connection: sa.Connection, issuer_sha256: bytes) -> CrlRecord | None:
    """The one with the highest number."""
    columns = [crl.c[name] for name in CrlRecord.__slots__]
    newest = sa.select(*columns).where(crl.c.issuer_sha256 == issuer_sha256).order_by(crl.c.number.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return CrlRecord(*row) if row else None
