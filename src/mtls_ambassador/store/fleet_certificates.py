"""Certificates of the records, a page at a time. Works in the caller's transaction."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.fleet_view import CertificateRow, Page
from mtls_ambassador.store import cursor
from mtls_ambassador.store.certificates import Status
from mtls_ambassador.store.fleet_batches import VOID
from mtls_ambassador.store.pki_tables import certificate, revocation

REVOKED = "revoked"
STATUSES = (*(item.value for item in Status), REVOKED)
"""What may be asked for."""
LOOKED_AT = 20_000
"""Rows for one page at the most, where no index can tell."""
_COLUMNS = (
    certificate.c.id,
    certificate.c.serial,
    certificate.c.issuer_sha256,
    certificate.c.name,
    certificate.c.profile,
    certificate.c.batch_id,
    certificate.c.status,
    certificate.c.subject,
    certificate.c.spki_sha256,
    certificate.c.fingerprint,
    certificate.c.not_before,
    certificate.c.not_after,
    revocation.c.at.label("revoked_at"),
    revocation.c.reason.label("revocation_reason"),
)
_JOINED = certificate.outerjoin(
    revocation,
    sa.and_(revocation.c.issuer_sha256 == certificate.c.issuer_sha256, revocation.c.serial == certificate.c.serial),
)


@dataclass(frozen=True, slots=True)
class CertificateQuery:
    """Which certificates; each empty field chooses all."""

    name: str = ""
    """Its beginning; case counts."""
    serial: int | None = None
    batch_id: int | None = None
    status: str = ""
    """One of STATUSES."""
    expires_after: dt.datetime | None = None
    expires_before: dt.datetime | None = None
    limit: int = 50
    after: str = ""


def page(connection: sa.Connection, query: CertificateQuery) -> Page[CertificateRow]:
    """By name when a name or a batch is asked for, by their end when that is, else the last recorded first.

    As with devices a page may have few or none and still a `next`, when too many had to be looked at for it.
    Raises UsageError for a limit, a status or an `after` that cannot be.
    """
    cursor.require_limit(query.limit)
    if query.status and query.status not in STATUSES:
        raise UsageError(f"status: must be one of {', '.join(STATUSES)}")
    order = _order(query)
    within = sa.and_(sa.true(), *_ranges(connection, query), *order.behind(query.after))
    end = connection.execute(
        sa.select(*order.columns).where(within).order_by(*order.sorted).offset(LOOKED_AT - 1).limit(1)
    ).one_or_none()
    chosen = sa.select(*_COLUMNS).select_from(_JOINED).where(within, *_others(query))
    if end is not None:
        chosen = chosen.where(order.until(end))
    rows = connection.execute(chosen.order_by(*order.sorted).limit(query.limit + 1)).all()
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        return Page(tuple(map(_as_row, rows[: query.limit])), order.pack(last.id, getattr(last, order.by)))
    return Page(tuple(map(_as_row, rows)), "" if end is None else order.pack(end.id, getattr(end, order.by)))


@dataclass(frozen=True, slots=True)
class _Order:
    """By what a list is sorted, and its places as text."""

    by: str
    """`id`, the highest first; `name` or `not_after`, the lowest first."""

    @property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        return (certificate.c.id,) if self.by == "id" else (certificate.c[self.by], certificate.c.id)

    @property
    def sorted(self) -> tuple[sa.ColumnElement[Any], ...]:
        return (certificate.c.id.desc(),) if self.by == "id" else self.columns

    def pack(self, number: int, value: object) -> str:
        text = value.isoformat() if isinstance(value, dt.datetime) else str(value)
        return cursor.pack(f"certificate-{self.by}", number, "" if self.by == "id" else text)

    def behind(self, after: str) -> Iterator[sa.ColumnElement[bool]]:
        place = cursor.unpack(f"certificate-{self.by}", after)
        if place is None:
            return
        number, text = place
        if self.by == "id":
            yield certificate.c.id < number
        else:
            yield sa.tuple_(*self.columns) > self._bound(_time(text) if self.by == "not_after" else text, number)

    def until(self, end: sa.Row[Any]) -> sa.ColumnElement[bool]:
        number: int = end.id
        if self.by == "id":
            return certificate.c.id >= number
        until: sa.ColumnElement[bool] = sa.tuple_(*self.columns) <= self._bound(getattr(end, self.by), number)
        return until

    def _bound(self, value: object, number: int) -> sa.Tuple:
        return sa.tuple_(sa.literal(value, certificate.c[self.by].type), sa.literal(number, certificate.c.id.type))


def _order(query: CertificateQuery) -> _Order:
    if query.serial is not None:
        return _Order("id")
    if query.name or query.batch_id is not None:
        return _Order("name")
    return _Order("not_after" if query.expires_before or query.expires_after else "id")


def _time(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError("after: is not the `next` of a page of this list; leave it out to begin anew")
    return found


def _ranges(connection: sa.Connection, query: CertificateQuery) -> Iterator[sa.ColumnElement[bool]]:
    """What the index of the order can tell."""
    if query.serial is not None:
        yield certificate.c.serial == query.serial
    if query.batch_id is not None:
        yield certificate.c.batch_id == query.batch_id
        if query.status != Status.VOID.value:
            yield certificate.c.status != VOID
    if query.name:
        yield certificate.c.name >= query.name
        if connection.dialect.name == "sqlite":  # PostgreSQL's order is that of a language, in which this may be lower
            yield certificate.c.name < query.name + "\U0010ffff"
    if query.expires_after is not None:
        yield certificate.c.not_after >= query.expires_after
    if query.expires_before is not None:
        yield certificate.c.not_after < query.expires_before


def _others(query: CertificateQuery) -> Iterator[sa.ColumnElement[bool]]:
    if query.name:
        yield sa.func.substr(certificate.c.name, 1, len(query.name)) == query.name
    if query.status == REVOKED:
        yield revocation.c.at.is_not(None)
    elif query.status:
        yield certificate.c.status == query.status


def _as_row(row: Any) -> CertificateRow:  # noqa: ANN401 - a row of _COLUMNS
    return CertificateRow(
        f"{row.serial:x}",
        row.issuer_sha256.hex(),
        row.name,
        row.profile,
        row.batch_id,
        row.status,
        row.subject or "",
        row.spki_sha256.hex() if row.spki_sha256 else "",
        row.fingerprint.hex() if row.fingerprint else "",
        row.not_before,
        row.not_after,
        row.revoked_at,
        row.revocation_reason or "",
    )
