"""Devices a page at a time, the newest first, searched and filtered. Works in the caller's transaction.

The cost of a page does not grow with the store: where no index can tell, a bounded number of rows is looked at, and
the page may then have fewer devices than asked for, or none, and still a `next` that goes on from there.
"""

import datetime as dt
import time
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.device import Standing
from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.fleet_view import DeviceQuery, DeviceRow, Page
from mtls_ambassador.store import cursor, search
from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.ledger_tables import contact
from mtls_ambassador.store.search_index import has_index
from mtls_ambassador.store.tables import device

_Row = Any
"""Of _COLUMNS."""
KIND = "device"
LONGEST = 200
"""Characters of a text that is looked for."""
SLICES = (1_000, 4_000)
"""Rows looked at for one page at the most, in so many steps."""
WINDOW = 100_000
"""Devices among which the index is asked at once."""
PATIENCE = 0.04
"""Seconds after which a page ends with what was found: pieces that all have, but not together, take the index long."""
clock = time.monotonic
_TOP = 2**62
_COLUMNS = (
    device.c.identity_sha256,
    device.c.identity,
    device.c.standing,
    device.c.device_id,
    device.c.certificate_serial,
    device.c.certificate_subject,
    device.c.enrolled_at,
    device.c.updated_at,
    device.c.number,
)


def page(connection: sa.Connection, query: DeviceQuery) -> Page[DeviceRow]:
    """Those that the query means. Raises UsageError for a limit, a text or an `after` that cannot be."""
    cursor.require_limit(query.limit)
    if len(query.text) > LONGEST:
        raise UsageError(f"text: at most {LONGEST} characters, not {len(query.text)}")
    after = cursor.unpack(KIND, query.after)
    rows, rest = _find(connection, query, _TOP if after is None else after[0])
    return Page(tuple(_shown(connection, rows)), cursor.pack(KIND, rest) if rest else "")


def find(connection: sa.Connection, identity_sha256: str) -> DeviceRow | None:
    """The device with this identity."""
    rows = connection.execute(sa.select(*_COLUMNS).where(device.c.identity_sha256 == identity_sha256)).all()
    return next(_shown(connection, rows), None)


def with_serial(connection: sa.Connection, serial: int) -> list[str]:
    """Identities (SHA-256) of the devices that were accepted with a certificate of this serial."""
    chosen = sa.select(seen.c.identity_sha256).where(seen.c.serial == serial).distinct().limit(cursor.MOST)
    return [row[0] for row in connection.execute(chosen)]


def _find(connection: sa.Connection, query: DeviceQuery, before: int) -> tuple[list[_Row], int]:
    """Rows, and the number below which there may be more; 0 for none."""
    chosen = sa.select(*_COLUMNS).where(*_conditions(query)).limit(query.limit + 1)
    newest = chosen.order_by(device.c.number.desc())
    if not (query.text or query.silent_since):
        return _cut(list(connection.execute(newest.where(device.c.number < before))), query.limit, 0)
    is_indexed = len(query.text) >= search.PIECE and has_index(connection)
    if not (is_indexed and connection.dialect.name == "postgresql"):
        return _in_slices(connection, query, newest, before, by_index=is_indexed)
    # What many have is found among the newest. PostgreSQL's planner takes what few have for something that many have,
    # and would walk all devices in their order for it: the sum keeps it from that order, and so leaves it the index.
    rows, rest = _in_slices(connection, query, newest, before, by_index=False)
    if len(rows) == query.limit or not rest:
        return rows, rest
    by_index = chosen.where(device.c.number < before).order_by((device.c.number + 0).desc())
    return _cut(list(connection.execute(by_index)), query.limit, 0)


def _in_slices(
    connection: sa.Connection,
    query: DeviceQuery,
    newest: sa.Select[Any],
    before: int,
    *,
    by_index: bool,
) -> tuple[list[_Row], int]:
    rows: list[_Row] = []
    sizes, ends = list(SLICES), clock() + PATIENCE
    if by_index:
        before = min(before, (connection.scalar(sa.select(sa.func.max(device.c.number))) or 0) + 1)
    while sizes:
        bottom = max(before - WINDOW, 0) if by_index else 0
        looked_at = search.step(query, bottom, before, sizes[0], by_index=by_index).subquery()
        lowest, count = connection.execute(sa.select(sa.func.min(looked_at.c.number), sa.func.count())).one()
        is_full = count == sizes[0]
        floor = lowest if is_full else bottom
        within = newest.where(device.c.number >= floor, device.c.number < before)
        if by_index:
            within = within.where(search.indexed(query, floor, before))
        rows += connection.execute(within)
        before = floor
        if len(rows) > query.limit or not floor or clock() > ends:
            break
        if is_full:
            del sizes[0]
    return _cut(rows, query.limit, before)


def _conditions(query: DeviceQuery) -> Iterator[sa.ColumnElement[bool]]:
    if query.standing is not None:
        yield device.c.standing == query.standing.value
    if query.text:
        yield search.holds(query.text)
    if query.silent_since is not None:
        yield search.has_no_contact_since(query.silent_since)


def _cut(rows: list[_Row], limit: int, before: int) -> tuple[list[_Row], int]:
    """At most so many, and where to go on."""
    return (rows[:limit], rows[limit - 1].number) if len(rows) > limit else (rows, before)


def _shown(connection: sa.Connection, rows: Iterable[_Row]) -> Iterator[DeviceRow]:
    """With each one's last contact."""
    found = list(rows)
    last = _last_contacts(connection, [row.identity_sha256 for row in found])
    for row in found:
        at, address = last.get(row.identity_sha256, (None, ""))
        yield DeviceRow(
            row.identity_sha256,
            row.identity,
            Standing(row.standing),
            row.device_id,
            row.certificate_serial,
            row.certificate_subject,
            row.enrolled_at,
            row.updated_at,
            at,
            address,
        )


def _last_contacts(connection: sa.Connection, identities: list[str]) -> dict[str, tuple[dt.datetime, str]]:
    chosen = (
        sa.select(seen.c.identity_sha256, contact.c.at, contact.c.address)
        .join(contact, contact.c.fingerprint_sha256 == seen.c.fingerprint_sha256)
        .where(seen.c.identity_sha256.in_(identities))
        .order_by(contact.c.at)
    )
    return {identity: (at, address) for identity, at, address in connection.execute(chosen)}
