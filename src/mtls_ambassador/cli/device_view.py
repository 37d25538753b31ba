"""How denials are shown."""

import datetime as dt
from typing import Any

from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.denial import Denial
from mtls_ambassador.model.revocation import serial_hex

SHOWN = 20
"""Lines of names or of numbers; the rest is counted."""


def line(item: Denial) -> str:
    """One denial, for people."""
    number = f"{item.number}: " if item.number else ""
    until = f" until {item.until:%Y-%m-%d %H:%M}Z" if item.until else ""
    note = f" ({item.note})" if item.note else ""
    return printable(f"{number}{item.what}{until}, {item.reason}, by {item.by} {item.at:%Y-%m-%d %H:%M}Z{note}")


def some(lines: list[str]) -> list[str]:
    """The first ones, with a count of the rest."""
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


def as_json(item: Denial) -> dict[str, Any]:
    """One denial, for scripts; what it does not name is null."""
    return {
        "number": item.number or None,
        "kind": item.kind.value,
        "what": item.what,
        "serial": None if item.serial is None else serial_hex(item.serial),
        "issuer": item.issuer or None,
        "key": item.spki_sha256 or None,
        "batch": item.batch_id,
        "issued_from": _time(item.begins),
        "issued_before": _time(item.ends),
        "reason": item.reason,
        "by": item.by,
        "at": _time(item.at),
        "until": _time(item.until),
        "note": item.note,
    }


def _time(time: dt.datetime | None) -> str | None:
    return time.isoformat() if time else None
