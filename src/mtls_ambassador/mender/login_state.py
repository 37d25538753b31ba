"""How it stands with the gateway's own login, as operators may know it: never the token."""

import base64
import binascii
import datetime as dt
import json
from dataclasses import dataclass
from typing import ClassVar, Final

HELD: Final = "held"
NONE: Final = "none"
REFUSED: Final = "refused"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class LoginState:
    """As of now."""

    WORDS: ClassVar = (HELD, NONE, REFUSED, FAILED)
    word: str
    """`held`: there is a token; `none`: none was needed yet; `refused`: Mender said no; `failed`: no usable answer."""
    kind: str
    """`session` or `personal-access-token`."""
    expires_at: dt.datetime | None
    """What the token says of itself; None when it says nothing, or there is none."""


def end_of(token: str) -> dt.datetime | None:
    """`exp` of a JSON Web Token (RFC 7519 section 4.1.4), unverified: it is only shown. None for anything else."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return dt.datetime.fromtimestamp(float(claims["exp"]), dt.UTC)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, OSError, RecursionError, binascii.Error):
        return None
