"""Tokens of the management API, made and revoked with a row in the audit; each in the caller's transaction."""

import datetime as dt

import sqlalchemy as sa

from mtls_ambassador.model.operator import Scope
from mtls_ambassador.store import tokens
from mtls_ambassador.store.audit import AuditEntry, append


def create(connection: sa.Connection, name: str, scope: Scope, by: str, now: dt.datetime, end: dt.datetime) -> str:
    """A new token, which is told only here. Raises AmbassadorError when the name is taken."""
    made = tokens.create(connection, name, scope, by, now, end)
    append(connection, AuditEntry(now, "token-create", scope.value, f"{name}, until {end:%Y-%m-%d}, by {by}"))
    return made


def revoke(connection: sa.Connection, name: str, by: str, now: dt.datetime) -> bool:
    """It lets nobody in any more; False when it was revoked before. Raises AmbassadorError when there is none."""
    done = tokens.revoke(connection, name, by, now)
    if done:
        append(connection, AuditEntry(now, "token-revoke", "revoked", f"{name}, by {by}"))
    return done
