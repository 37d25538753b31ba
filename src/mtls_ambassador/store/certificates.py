"""Certificates: serial recorded first, then signed, then handed over. Each function works in the caller's transaction.

A row is `reserved` before anything is signed, `issued` once the certificate exists, `done` once its files are where
they belong, and `void` when nobody can say any more what became of a reserved serial: such a one is never used again.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.revocation import serial_hex
from mtls_ambassador.store import denials
from mtls_ambassador.store.pki_tables import certificate, revocation

Key = tuple[bytes, int]
"""A certificate's name for good (RFC 5280 section 4.1.2.2): SHA-256 of the issuer's SPKI, and the serial."""
PAGE = 1000
_NO_IMAGES: Mapping[Key, bytes] = MappingProxyType({})


class Status(StrEnum):
    """How far a certificate got."""

    RESERVED = "reserved"
    ISSUED = "issued"
    DONE = "done"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Reservation:
    """A serial somebody is about to use."""

    serial: int
    issuer_sha256: bytes
    """SHA-256 of the CA's SPKI in DER."""
    name: str
    profile: str
    batch_id: int | None
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Issued:
    """What was signed under a reserved serial; hashes are SHA-256 of the DER of SPKI and certificate."""

    serial: int
    issuer_sha256: bytes
    der: bytes
    spki_sha256: bytes
    fingerprint: bytes
    subject: str
    """As in RFC 4514."""
    not_before: dt.datetime
    not_after: dt.datetime


@dataclass(frozen=True, slots=True)
class Record:
    """All the store knows of one certificate; what comes with signing is None before that."""

    id: int
    issuer_sha256: bytes
    serial: int
    name: str
    profile: str
    batch_id: int | None
    status: Status
    reserved_at: dt.datetime
    done_at: dt.datetime | None
    not_before: dt.datetime | None
    not_after: dt.datetime | None
    subject: str | None
    spki_sha256: bytes | None
    fingerprint: bytes | None
    der: bytes | None
    revoked_at: dt.datetime | None
    revocation_reason: str | None

    @property
    def key(self) -> Key:
        """Issuer and serial."""
        return self.issuer_sha256, self.serial

    @property
    def serial_hex(self) -> str:
        """The serial as openssl prints it: whole octets, upper case."""
        return serial_hex(self.serial)


_RESERVE = sa.insert(certificate)
_THIS = sa.and_(
    certificate.c.issuer_sha256 == sa.bindparam("its_issuer"), certificate.c.serial == sa.bindparam("its_serial")
)
_UPDATE = sa.update(certificate).where(_THIS)
_MARK_ISSUED = _UPDATE.where(certificate.c.status == Status.RESERVED.value).values(status=Status.ISSUED.value)
_MARK_DONE = _UPDATE.where(certificate.c.status == Status.ISSUED.value).values(status=Status.DONE.value)
_MARK_VOID = _UPDATE.where(certificate.c.status != Status.VOID.value).values(status=Status.VOID.value)
_JOINED = certificate.outerjoin(
    revocation,
    sa.and_(revocation.c.issuer_sha256 == certificate.c.issuer_sha256, revocation.c.serial == certificate.c.serial),
)
_RECORD = sa.select(
    *(certificate.c[item.name] for item in fields(Record) if item.name in certificate.c),
    revocation.c.at.label("revoked_at"),
    revocation.c.reason.label("revocation_reason"),
).select_from(_JOINED)
_STATUS_AT = [item.name for item in fields(Record)].index("status")


def reserve(connection: sa.Connection, rows: Sequence[Reservation]) -> None:
    """Record serials before they are used. All or nothing.

    Raises sqlalchemy.exc.IntegrityError when an issuer has the serial already or a batch the name.
    """
    values = [
        {
            "issuer_sha256": row.issuer_sha256,
            "serial": row.serial,
            "name": row.name,
            "profile": row.profile,
            "batch_id": row.batch_id,
            "status": Status.RESERVED.value,
            "reserved_at": row.at,
        }
        for row in rows
    ]
    if values:
        connection.execute(_RESERVE, values)


def mark_issued(connection: sa.Connection, rows: Sequence[Issued]) -> None:
    """Record what was signed; every gateway looks again when its key or batch may be denied.

    Raises LookupError, for a rollback, when a serial is not `reserved`.
    """
    values = [
        {
            "its_issuer": row.issuer_sha256,
            "its_serial": row.serial,
            "der": row.der,
            "spki_sha256": row.spki_sha256,
            "fingerprint": row.fingerprint,
            "subject": row.subject,
            "not_before": row.not_before,
            "not_after": row.not_after,
        }
        for row in rows
    ]
    denials.touch_if_any_reaches_new(connection)
    _update(connection, _MARK_ISSUED, values, "reserved")


def mark_done(
    connection: sa.Connection, keys: Iterable[Key], at: dt.datetime, images: Mapping[Key, bytes] = _NO_IMAGES
) -> None:
    """The files are where they belong; `images` has the SHA-256 of the image of each device that has one.

    Raises LookupError, for a rollback, when a serial is not `issued`.
    """
    values: list[dict[str, object]] = [
        {"its_issuer": key[0], "its_serial": key[1], "done_at": at, "image_sha256": images.get(key)} for key in keys
    ]
    _update(connection, _MARK_DONE, values, "issued")


def mark_void(connection: sa.Connection, keys: Iterable[Key], at: dt.datetime) -> None:
    """Nobody can say what became of these serials: never used again, and the name is free in its batch.

    A certificate may have been signed all the same, so revoke them too. Raises LookupError when there is no such one.
    """
    values = [{"its_issuer": issuer, "its_serial": serial, "done_at": at} for issuer, serial in keys]
    _update(connection, _MARK_VOID, values, "known and not void")


def _update(connection: sa.Connection, statement: sa.Update, values: list[dict[str, object]], state: str) -> None:
    if not values:
        return
    done = connection.execute(statement, values).rowcount
    if done != len(values):
        raise LookupError(f"{len(values) - done} of {len(values)} certificates are not {state}")


def unfinished(connection: sa.Connection, batch_id: int | None) -> list[Record]:
    """What is reserved or issued but not done, in the order of reservation; None means outside any batch."""
    of_batch = certificate.c.batch_id.is_(None) if batch_id is None else certificate.c.batch_id == batch_id
    open_states = certificate.c.status.in_([Status.RESERVED.value, Status.ISSUED.value])
    return _records(connection.execute(_RECORD.where(of_batch, open_states).order_by(certificate.c.id)))


def find(
    connection: sa.Connection,
    *,
    serial: int | None = None,
    name: str | None = None,
    fingerprint: bytes | None = None,
    spki: bytes | None = None,
) -> list[Record]:
    """Every certificate that has all that is given, oldest first; by index, whatever the size of the store."""
    asked = {"serial": serial, "name": name, "fingerprint": fingerprint, "spki_sha256": spki}
    given = {column: value for column, value in asked.items() if value is not None}
    if not given:
        raise ValueError("say what to look for")
    where = [certificate.c[column] == value for column, value in given.items()]
    return _records(connection.execute(_RECORD.where(*where).order_by(certificate.c.id)))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which certificates; what is None does not matter."""

    issuer_sha256: bytes | None = None
    profile: str | None = None
    batch_id: int | None = None
    status: Status | None = None
    expires_before: dt.datetime | None = None
    expires_after: dt.datetime | None = None
    is_revoked: bool | None = None
    name_glob: str | None = None
    """`*` is any text, `?` any character; case counts."""


def select(connection: sa.Connection, wanted: Filter, page: int = PAGE) -> Iterator[Record]:
    """Certificates in the order of reservation, a page at a time: memory stays flat and others may write meanwhile."""
    statement = _RECORD.where(*_conditions(connection, wanted)).order_by(certificate.c.id).limit(page)
    last = 0
    while True:
        records = _records(connection.execute(statement.where(certificate.c.id > last)))
        yield from records
        if len(records) < page:
            return
        last = records[-1].id


def _conditions(connection: sa.Connection, wanted: Filter) -> list[sa.ColumnElement[bool]]:
    equal = {
        "issuer_sha256": wanted.issuer_sha256,
        "profile": wanted.profile,
        "batch_id": wanted.batch_id,
        "status": wanted.status.value if wanted.status else None,
    }
    found = [certificate.c[column] == value for column, value in equal.items() if value is not None]
    if wanted.expires_before is not None:
        found.append(certificate.c.not_after <= wanted.expires_before)
    if wanted.expires_after is not None:
        found.append(certificate.c.not_after > wanted.expires_after)
    if wanted.is_revoked is not None:
        found.append(revocation.c.at.is_not(None) if wanted.is_revoked else revocation.c.at.is_(None))
    if wanted.name_glob is not None:
        found.append(_matches(connection, wanted.name_glob))
    return found


def _matches(connection: sa.Connection, glob: str) -> sa.ColumnElement[bool]:
    """SQLite's LIKE takes no account of case, its GLOB does; PostgreSQL has only LIKE."""
    if connection.dialect.name == "sqlite":
        return certificate.c.name.op("GLOB", is_comparison=True)(glob.replace("[", "[[]"))
    for special in "\\%_":
        glob = glob.replace(special, "\\" + special)
    return certificate.c.name.like(glob.replace("*", "%").replace("?", "_"), escape="\\")


def _records(rows: Iterable[sa.Row[Any]]) -> list[Record]:
    return [Record(*_values(row)) for row in rows]


def _values(row: sa.Row[Any]) -> list[Any]:
    values = list(row)
    values[_STATUS_AT] = Status(values[_STATUS_AT])
    return values
