"""When a token ends is read from the token, whatever it is; the token itself is nowhere."""

import base64
import datetime as dt
import json

import pytest

from mtls_ambassador.mender.login_state import end_of


def jwt(claims: object) -> str:
    return "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".c2ln"


def test_the_end_of_a_token_is_its_exp() -> None:
    assert end_of(jwt({"exp": 1_800_000_000})) == dt.datetime.fromtimestamp(1_800_000_000, dt.UTC)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b",
        "a.!!!.c",
        "a.bm90IGpzb24.c",
        jwt({}),
        jwt([]),
        jwt({"exp": None}),
        jwt({"exp": "soon"}),
        jwt({"exp": 1e300}),
        jwt({"exp": float("nan")}),
    ],
)
def test_what_tells_no_end_has_none(token: str) -> None:
    assert end_of(token) is None
