"""Attempts to log in, few enough that nobody guesses: by address, by user, and in all."""

import datetime as dt
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW = dt.timedelta(minutes=15)
PER_ADDRESS, PER_USER, IN_ALL = 10, 20, 200
"""Failures within the window; a user's limit is wider, so that a stranger does not lock a person out at once."""
REMEMBERED = 10_000
"""Addresses and names; the oldest are forgotten, and the limit for all still holds."""


@dataclass(slots=True)
class Throttle:
    """Failures of the last quarter of an hour."""

    now: Callable[[], dt.datetime]
    _failures: dict[str, deque[dt.datetime]] = field(default_factory=dict)

    def wait(self, address: str, user: str) -> float:
        """Seconds until this one may try; 0 for at once."""
        keys = (f"address {address}", PER_ADDRESS), (f"user {user}", PER_USER), ("all", IN_ALL)
        return max(self._wait(key, most) for key, most in keys)

    def failed(self, address: str, user: str) -> None:
        """One more."""
        for key in (f"address {address}", f"user {user}", "all"):
            times = self._failures.pop(key, None) or deque(maxlen=IN_ALL)
            times.append(self.now())
            self._failures[key] = times
        while len(self._failures) > REMEMBERED:
            oldest = next(key for key in self._failures if key != "all")
            del self._failures[oldest]

    def succeeded(self, address: str, user: str) -> None:
        """It was no failure."""
        for key in (f"address {address}", f"user {user}", "all"):
            if times := self._failures.get(key):
                times.pop()

    def _wait(self, key: str, most: int) -> float:
        times = self._failures.get(key)
        if times is None:
            return 0.0
        now = self.now()
        while times and times[0] <= now - WINDOW:
            times.popleft()
        return (times[-most] + WINDOW - now).total_seconds() if len(times) >= most else 0.0
