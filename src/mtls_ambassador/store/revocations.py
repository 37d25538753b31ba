"""Revocations in force, and the CRLs made of them. Each function works in the caller's transaction."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.revocation import Revocation, RevocationReason
from mtls_ambassador.store.pki_tables import certificate, crl, revocation

Key = tuple[bytes, int]
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
_FIND = _ALL.where(_THIS)
_DELETE = sa.delete(revocation).where(_THIS)
_REASONS = {reason.value: reason for reason in RevocationReason}


def revoke(connection: sa.Connection, revocations: Iterable[Revocation]) -> None:
    """Record revocations; one that is there already is replaced, so look first (`find`)."""
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
    """These are in force no longer."""
    values = [{"its_issuer": issuer, "its_serial": serial} for issuer, serial in keys]
    if values:
        connection.execute(_DELETE, values)


def find(connection: sa.Connection, keys: Iterable[Key]) -> dict[Key, Revocation]:
    """Those of the certificates that are revoked."""
    found = {}
    for issuer, serial in keys:
        row = connection.execute(_FIND, {"its_issuer": issuer, "its_serial": serial}).one_or_none()
        if row is not None:
            found[issuer, serial] = _revocation(row)
    return found


def of_issuer(connection: sa.Connection, issuer_sha256: bytes) -> list[Revocation]:
    """All of a CA, in the order of serials."""
    rows = connection.execute(_ALL.where(revocation.c.issuer_sha256 == issuer_sha256).order_by(revocation.c.serial))
    return [_revocation(row) for row in rows]


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
