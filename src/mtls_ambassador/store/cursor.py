"""Where a page ended, as a text that says nothing to whoever holds it, and is believed only when it is one of ours."""

import base64
import binascii
import json

from mtls_ambassador.model.errors import UsageError

MOST = 500
"""Rows of a page."""
LONGEST = 2_000
"""Characters."""
_HIGHEST = 2**63 - 1


def require_limit(limit: int) -> None:
    """Raise UsageError for a page of no rows, or of too many."""
    if not 1 <= limit <= MOST:
        raise UsageError(f"limit: must be 1 to {MOST}, not {limit}")


def pack(kind: str, number: int, text: str = "") -> str:
    """The place in a list of this kind: behind the row with this number, and this text where the list is by texts."""
    content = json.dumps([kind, number, text], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def unpack(kind: str, packed: str) -> tuple[int, str] | None:
    """The place; None for the begin. Raises UsageError for what is no `next` of a list of this kind."""
    if not packed:
        return None
    wrong = UsageError("after: is not the `next` of a page of this list; leave it out to begin anew")
    try:
        if len(packed) > LONGEST:
            raise wrong
        content = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        name, number, text = json.loads(content)
        is_ours = pack(name, number, text) == packed
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise wrong from None
    if not is_ours or name != kind or type(number) is not int or not 0 <= number <= _HIGHEST or type(text) is not str:
        raise wrong
    if "\0" in text or not text.isprintable():
        raise wrong
    return number, text
