import datetime as dt
import gzip

import pytest

from mtls_ambassador.sandbox.wire import ApiError, parse_object, text_field, timestamp
from support.sandbox_caller import DEVAUTH, Caller


def test_times_are_rfc_3339_in_utc() -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert timestamp(moment) == "2026-01-02T02:04:05.000600Z"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_400(body: bytes) -> None:
    with pytest.raises(ApiError) as error:
        parse_object(body, "what")
    assert error.value.status == 400
    assert error.value.text.startswith("what: ")


def test_an_absent_text_is_empty_and_another_kind_400() -> None:
    assert text_field({"a": None}, "a", "") == text_field({}, "a", "") == ""
    with pytest.raises(ApiError):
        text_field({"a": 1}, "a", "")


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"{}", mtime=0)[:-4]])
async def test_a_body_that_cannot_be_decoded_is_400(caller: Caller, body: bytes) -> None:
    token = (await caller.login()).text
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Authorization": f"Bearer {token}"}
    assert (await caller.call("POST", f"{DEVAUTH}/devices", data=body, headers=headers)).status == 400
