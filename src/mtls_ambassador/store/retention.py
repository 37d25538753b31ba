"""What is dropped when its time is over, a few rows a transaction, so that no device waits for it.

The audit is pruned from its oldest row on: where it was cut is written down with the hash that stood there, and the
chain goes on from that. It is pruned only as far as the chain is whole: what was changed or removed in another way
stays, and still shows.
"""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.settings import Limits
from mtls_ambassador.store.chain import NAMES, Head, hold_head, next_hash, read_begin
from mtls_ambassador.store.ledger_tables import contact, refusal, tally
from mtls_ambassador.store.tables import audit, audit_head

PORTION = 500
MINUTES_KEPT = dt.timedelta(days=2)
HOURS_KEPT = dt.timedelta(days=400)
CONTACTS_KEPT = dt.timedelta(days=400)


def drop(connection: sa.Connection, limits: Limits, now: dt.datetime) -> int:
    """One portion of each; returns how many rows went, 0 when all that stays may stay."""
    too_old = now - dt.timedelta(days=limits.ledger_days)
    newest = connection.scalar(sa.select(sa.func.max(refusal.c.id))) or 0
    gone = _delete(connection, refusal, refusal.c.id, refusal.c.id <= newest - limits.ledger_rows)
    gone += _delete(connection, refusal, refusal.c.id, refusal.c.at < too_old)
    gone += _delete(connection, contact, contact.c.fingerprint_sha256, contact.c.at < now - CONTACTS_KEPT)
    for step, kept in ((60, MINUTES_KEPT), (3600, HOURS_KEPT)):
        oldest = connection.scalar(sa.select(sa.func.min(tally.c.at)).where(tally.c.step == step))
        if oldest is not None and oldest < now - kept:
            end = min(now - kept, oldest + dt.timedelta(seconds=60 * step))
            gone += connection.execute(sa.delete(tally).where(tally.c.step == step, tally.c.at < end)).rowcount
    return gone + prune_audit(connection, limits, now)


def prune_audit(connection: sa.Connection, limits: Limits, now: dt.datetime) -> int:
    """Cut one portion off the audit's begin; returns how many rows. The last row always stays."""
    head = hold_head(connection)
    oldest = connection.execute(sa.select(audit.c.id, audit.c.at).order_by(audit.c.id).limit(1)).one_or_none()
    too_old = now - dt.timedelta(days=limits.audit_days)
    if oldest is None or (oldest.at >= too_old and oldest.id > head.last_id - limits.audit_rows):
        return 0
    last = cut = read_begin(connection)
    chosen = sa.select(audit.c.id, audit.c.hash, *(audit.c[name] for name in NAMES)).where(audit.c.id < head.last_id)
    for row in connection.execute(chosen.order_by(audit.c.id).limit(PORTION)).mappings():
        if row["at"] >= too_old and row["id"] > head.last_id - limits.audit_rows:
            break
        after = Head(row["id"], next_hash(last.hash, row["id"], row))
        if row["hash"] != after.hash:
            break
        last = after
    if last == cut:
        return 0
    connection.execute(sa.update(audit_head).values(pruned_id=last.last_id, pruned_hash=last.hash))
    return connection.execute(sa.delete(audit).where(audit.c.id <= last.last_id)).rowcount


def _delete(connection: sa.Connection, table: sa.Table, key: sa.Column[Any], old: sa.ColumnElement[bool]) -> int:
    chosen = sa.select(key).where(old).limit(PORTION)
    return connection.execute(sa.delete(table).where(key.in_(chosen.scalar_subquery()))).rowcount
