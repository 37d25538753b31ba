"""Which devices may hold a text, newest first, in steps that cost the same however many devices there are."""

import datetime as dt
import re
from collections.abc import Iterator

import sqlalchemy as sa

from mtls_ambassador.model.device import Standing
from mtls_ambassador.model.fleet_view import DeviceQuery
from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.ledger_tables import contact
from mtls_ambassador.store.search_index import FTS, SEARCHED
from mtls_ambassador.store.tables import device

PIECE = 3
"""Letters that the index knows; a shorter text is looked for row by row."""
CLAIMED = 500
"""Of those that are being enrolled, which the index leaves out, the newest."""
_OVERLAP_TO = 14
"""Letters up to which every piece is asked for; of a longer text every third one says nearly as much."""
_OCTETS = re.compile(r"(?:[0-9A-Fa-f]{2}:){2,}[0-9A-Fa-f]{2}")
_FTS = sa.table(FTS, sa.column("rowid", sa.Integer), sa.column(FTS, sa.Text))


def spellings(text: str) -> list[str]:
    """The text, and a serial as openssl prints it also as the store has it."""
    return [text, text.replace(":", "")] if _OCTETS.fullmatch(text) else [text]


def holds(text: str) -> sa.ColumnElement[bool]:
    """Whether one of the device's texts has it as a part, whatever the case of Latin letters."""
    patterns = [f"%{_escaped(one)}%" for one in spellings(text)]
    return sa.or_(*(device.c[name].ilike(one, escape="\\") for name in SEARCHED for one in patterns))


def has_no_contact_since(time: dt.datetime) -> sa.ColumnElement[bool]:
    """Whether none of its certificates has finished a handshake since."""
    since = (
        sa.select(seen.c.serial)
        .join(contact, contact.c.fingerprint_sha256 == seen.c.fingerprint_sha256)
        .where(seen.c.identity_sha256 == device.c.identity_sha256, contact.c.at >= time)
        .correlate(device)
    )
    # The offset has PostgreSQL ask for each device that is looked at, and not read all contacts into a table first.
    return ~sa.exists(since.offset(0))


def step(query: DeviceQuery, bottom: int, before: int, size: int, *, by_index: bool) -> sa.Select[tuple[int]]:
    """Numbers between the two, the highest first, of as many devices as are looked at in one go."""
    if by_index:
        rowid = _FTS.c.rowid
        chosen = sa.select(rowid.label("number")).where(_in_index(query.text), rowid >= bottom, rowid < before)
        return chosen.order_by(rowid.desc()).limit(size)
    chosen = sa.select(device.c.number).where(device.c.number >= bottom, device.c.number < before)
    if query.standing is not None:
        chosen = chosen.where(device.c.standing == query.standing.value)
    return chosen.order_by(device.c.number.desc()).limit(size)


def indexed(query: DeviceQuery, floor: int, before: int) -> sa.ColumnElement[bool]:
    """Whether a device of these numbers is one that the index names, or one that is being enrolled."""
    claimed = (
        sa.select(device.c.number)
        .where(device.c.standing == Standing.CLAIMED.value, device.c.number >= floor, device.c.number < before)
        .order_by(device.c.number.desc())
        .limit(CLAIMED)
        .subquery()
    )
    rowid = _FTS.c.rowid
    named = sa.select(rowid).where(_in_index(query.text), rowid >= floor, rowid < before)
    return device.c.number.in_(sa.union_all(named, sa.select(claimed.c.number)))


def _in_index(text: str) -> sa.ColumnElement[bool]:
    return _FTS.c[FTS].op("MATCH", is_comparison=True)(_match(text))


def _match(text: str) -> str:
    """What FTS5 is asked: all pieces of the text, or all of its other spelling."""
    ways = (" AND ".join(f'"{piece}"' for piece in _pieces(one.replace("\0", " "))) for one in spellings(text))
    return " OR ".join(f"({way})" for way in ways)


def _pieces(text: str) -> Iterator[str]:
    step = 1 if len(text) <= _OVERLAP_TO else PIECE
    places = dict.fromkeys([*range(0, len(text) - PIECE + 1, step), len(text) - PIECE])
    return (text[place : place + PIECE].replace('"', '""') for place in places)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
