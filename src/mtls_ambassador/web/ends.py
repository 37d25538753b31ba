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


SERVER, DEVICE_CAS, MENDER_CAS, PAGE = (
    "server certificate",
    "CA of devices",
    "CA of the Mender server",
    "admin certificate",
)
BUNDLES = {DEVICE_CAS, MENDER_CAS}


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
    """By what it is, when the first of its certificates ends.

    A bundle may hold a CA that is over beside those that are in use: of one, those that have not ended count, and when
    all have, the last one. Of a chain that is shown, one that is over is the end of it all.
    """
    found: dict[str, float] = {}
    for what in dict.fromkeys(item.what for item in ends):
        times = [item.at.timestamp() for item in ends if item.what == what]
        good = [at for at in times if at > now]
        found[what] = min(times) if what not in BUNDLES else min(good) if good else max(times)
    return found


async def read_ends(settings: Settings) -> list[End]:
    """The next first. A file that cannot be read has none: what is wrong with it stands among the inputs."""
    return await asyncio.to_thread(_read, settings)


def _read(settings: Settings) -> list[End]:
    files = (
        (SERVER, settings.server_certificate),
        (DEVICE_CAS, settings.tenant_ca),
        (MENDER_CAS, settings.upstream_ca),
        (PAGE, settings.admin_certificate),
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
