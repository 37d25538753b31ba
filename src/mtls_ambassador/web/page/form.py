"""What a form of the page sent: each field checked where it comes in."""

import datetime as dt
from collections.abc import Mapping

from aiohttp import web

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import RECORDED
from mtls_ambassador.web.access import form_of

REASONS = tuple(item.value for item in RECORDED)
LONGEST = 64 * 1024
"""Characters of a field; a certificate with its chain is shorter."""


async def fields(request: web.Request) -> Mapping[str, str]:
    """The texts of a form, the first of each name; files are none. Raises AmbassadorError when one is too long."""
    texts = await form_of(request)
    long = next((name for name, value in texts.items() if len(value) > LONGEST), None)
    if long is not None:
        raise AmbassadorError(f"{long[:40]}: at most {LONGEST} characters")
    return texts


def reason(given: Mapping[str, str]) -> str:
    """Of a denial (RFC 5280 section 5.3.1). Raises AmbassadorError for another."""
    value = given.get("reason", "unspecified")
    if value not in REASONS:
        raise AmbassadorError(f"reason: must be one of {', '.join(REASONS)}")
    return value


def until(given: Mapping[str, str], now: dt.datetime) -> dt.datetime | None:
    """When a denial ends, in UTC; None for good. Raises AmbassadorError for a time that is none, or is over."""
    text = given.get("until", "").strip()
    if not text:
        return None
    try:
        end = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise AmbassadorError("until: must be a date and a time, such as 2027-01-31T12:00, or empty") from error
    if end <= now:
        raise AmbassadorError("until: is over; leave it empty to deny for good")
    return end


def note(given: Mapping[str, str]) -> str:
    """Why, for the records."""
    return given.get("note", "").strip()[:500]


def numbers(given: Mapping[str, str]) -> tuple[int, ...]:
    """Of denials, joined by commas. Raises AmbassadorError for what is none."""
    parts = [part.strip() for part in given.get("numbers", "").split(",") if part.strip()]
    if any(not (part.isascii() and part.isdigit() and len(part) <= 18) for part in parts):  # noqa: PLR2004 - digits of 2**62
        raise AmbassadorError("numbers: must be the numbers of denials")
    return tuple(map(int, parts))
