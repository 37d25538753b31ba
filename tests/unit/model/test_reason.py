"""Each way an auth request can end says what it means, once."""

import re
from http import HTTPStatus

import pytest

from mtls_ambassador.model.reason import Reason, RefusedError, Verdict

STATUS_OF = {Verdict.GRANTED: {200}, Verdict.REFUSED: {400, 401, 413}, Verdict.LATER: {503}}


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.code)
def test_every_reason(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.code)
    assert len(reason.code) <= 32, "the audit's column"
    assert reason.status in STATUS_OF[reason.verdict]
    assert reason.text
    assert reason.withdraws is (reason.code in {"rejected-by-person", "decommissioned", "withdrawn"})


def test_codes_are_names() -> None:
    assert len({reason.code for reason in Reason}) == len(Reason)
    assert len({reason.text for reason in Reason}) == len(Reason)


def test_a_refusal_says_what_was_seen() -> None:
    bare, seen = RefusedError(Reason.DEVICE_LIMIT), RefusedError(Reason.DEVICE_LIMIT, "5 devices")
    assert str(bare) == Reason.DEVICE_LIMIT.text
    assert str(seen) == f"{Reason.DEVICE_LIMIT.text}: 5 devices"
    assert (bare.status, bare.retry_after) == (HTTPStatus.UNAUTHORIZED, None)
    assert RefusedError(Reason.REFUSED_UPSTREAM, status=404, retry_after=3).status == 404
