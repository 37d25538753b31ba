"""Tokens of the management API. Each function works in the caller's transaction.

A token is 256 random bits, of which only the SHA-256 is kept: nobody guesses what it is of, so that no slow hash is
needed. It is found by that hash, which tells nothing of how near a guess was.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.operator import Scope
from mtls_ambassador.store.ledger_tables import api_token

PREFIX = "mta_"
"""By which a scanner for secrets knows one."""
STEP = dt.timedelta(minutes=1)
"""How exact the time of last use is."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; not the token."""

    number: int
    name: str
    scope: Scope
    made_at: dt.datetime
    made_by: str
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None
    revoked_by: str

    def is_good(self, now: dt.datetime) -> bool:
        """Whether it lets anybody in."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


_COLUMNS = (
    api_token.c.id,
    api_token.c.name,
    api_token.c.scope,
    api_token.c.made_at,
    api_token.c.made_by,
    api_token.c.expires_at,
    api_token.c.last_used_at,
    api_token.c.revoked_at,
    api_token.c.revoked_by,
)


def create(
    connection: sa.Connection, name: str, scope: Scope, by: str, now: dt.datetime, expires_at: dt.datetime | None
) -> str:
    """A new token, which is told only here. Raises AmbassadorError when the name is taken."""
    if connection.execute(sa.select(api_token.c.id).where(api_token.c.name == name)).first() is not None:
        raise AmbassadorError(f"there is a token {name!r} already; choose another name")
    made = PREFIX + secrets.token_urlsafe(32)
    values = {
        "name": name,
        "scope": scope.value,
        "secret_sha256": _hash(made),
        "made_at": now,
        "made_by": by,
        "expires_at": expires_at,
        "revoked_by": "",
    }
    connection.execute(sa.insert(api_token), values)
    return made


def find(connection: sa.Connection, given: str) -> Token | None:
    """The token that was given, good or not; None when there is none."""
    row = connection.execute(sa.select(*_COLUMNS).where(api_token.c.secret_sha256 == _hash(given))).one_or_none()
    return _token(row) if row else None


def used(connection: sa.Connection, token: Token, now: dt.datetime) -> None:
    """Note its use."""
    connection.execute(sa.update(api_token).where(api_token.c.id == token.number).values(last_used_at=now))


def revoke(connection: sa.Connection, name: str, by: str, now: dt.datetime) -> bool:
    """It lets nobody in any more; False when it was revoked before. Raises AmbassadorError when there is none."""
    chosen = sa.update(api_token).where(api_token.c.name == name)
    done = connection.execute(chosen.where(api_token.c.revoked_at.is_(None)).values(revoked_at=now, revoked_by=by))
    if done.rowcount:
        return True
    if connection.execute(sa.select(api_token.c.id).where(api_token.c.name == name)).first() is None:
        raise AmbassadorError(f"there is no token {name!r}")
    return False


def every(connection: sa.Connection) -> list[Token]:
    """All of them, the newest first."""
    return [_token(row) for row in connection.execute(sa.select(*_COLUMNS).order_by(api_token.c.id.desc()))]


def _token(values: Sequence[Any]) -> Token:
    return Token(values[0], values[1], Scope(values[2]), *values[3:])


def _hash(given: str) -> str:
    return hashlib.sha256(given.encode(errors="replace")).hexdigest()
