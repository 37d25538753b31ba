"""When the certificates end that the gateway itself stands on: read from the files, at the time somebody looks."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.pki.pem import read_pem
from mtls_ambassador.settings import Settings

SOON = dt.timedelta(days=30)
MOST = 50
"""Certificates of one file."""


@dataclass(frozen=True, slots=True)
class End:
    """One certificate's end."""

    what: str
    subject: str
    at: dt.datetime

    def tone(self, now: dt.datetime) -> str:
        """`bad` when it is over, `wait` when it is near."""
        return "bad" if self.at <= now else "wait" if self.at - now < SOON else "good"


def first_ends(ends: Sequence[End], now: float) -> dict[str, float]:
    """By what it is, when the first ends of those that have not ended; when all have, when the last one did.

    A bundle may hold a CA that is over beside those that are in use.
    """
    found: dict[str, float] = {}
    for what in dict.fromkeys(item.what for item in ends):
        times = [item.at.timestamp() for item in ends if item.what == what]
        found[what] = min((at for at in times if at > now), default=max(times))
    return found


async def read_ends(settings: Settings) -> list[End]:
    """The next first. A file that cannot be read has none: what is wrong with it stands among the inputs."""
    return await asyncio.to_thread(_read, settings)


def _read(settings: Settings) -> list[End]:
    files = (
        ("server certificate", settings.server_certificate),
        ("CA of devices", settings.tenant_ca),
        ("CA of the Mender server", settings.upstream_ca),
        ("certificate of this page", settings.admin_certificate),
    )
    found = [end for what, path in files if path is not None for end in _ends(what, path)]
    return sorted(found, key=lambda end: end.at)


def _ends(what: str, path: Path) -> list[End]:
    try:
        content = path.read_bytes()
    except OSError:
        return []
    return [
        End(what, item.subject.rfc4514_string(), item.not_valid_after_utc)
        for item in read_pem(content).certificates[:MOST]
    ]
