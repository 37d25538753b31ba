"""Who is logged in: in memory, of each id only its hash, so that nothing that leaks here lets anybody in."""

import datetime as dt
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from mtls_ambassador.model.operator import Operator

IDLE = dt.timedelta(minutes=30)
LONGEST = dt.timedelta(hours=12)
MOST = 1000
"""At once; beyond, the one that was idle longest ends."""


@dataclass(slots=True)
class Session:
    """One login."""

    operator: Operator
    proof: str
    """What of the users file it stands on; when that changes, it ends."""
    began: dt.datetime
    used: dt.datetime
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


@dataclass(slots=True)
class Sessions:
    """All of them; they end with the service."""

    now: Callable[[], dt.datetime]
    _by_hash: dict[str, Session] = field(default_factory=dict, repr=False)

    def begin(self, operator: Operator, proof: str) -> str:
        """A new one, under an id of 256 random bits that nobody had before."""
        if len(self._by_hash) >= MOST:
            del self._by_hash[min(self._by_hash, key=lambda key: self._by_hash[key].used)]
        chosen, now = secrets.token_urlsafe(32), self.now()
        self._by_hash[_hash(chosen)] = Session(operator, proof, now, now)
        return chosen

    def find(self, given: str, *, is_use: bool = True) -> Session | None:
        """The one of that id, used now unless it is only looked at; None when there is none, or its time is over.

        Fails closed.
        """
        key = _hash(given)
        found, now = self._by_hash.get(key), self.now()
        if found is None:
            return None
        if not found.began <= now < found.began + LONGEST or now >= found.used + IDLE:
            del self._by_hash[key]
            return None
        if is_use:
            found.used = now
        return found

    def end(self, given: str) -> None:
        """Nobody has this id any more."""
        self._by_hash.pop(_hash(given), None)


def _hash(given: str) -> str:
    return hashlib.sha256(given.encode(errors="replace")).hexdigest()
