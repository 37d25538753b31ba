"""Ways a certified device might become another one, or come back under another name: each is closed."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from mtls_ambassador.flows.approve_move import approve_move
from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.pki.issue import public_key_pem
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.sandbox.devauth import Status
from mtls_ambassador.sandbox.device_wire import make_auth_request
from mtls_ambassador.sandbox.faults import Fault
from mtls_ambassador.settings import BindingMode, IdentityBinding
from support.enrolment import Bench, identity_of
from support.wait import until

TEMPLATE = IdentityBinding(BindingMode.TEMPLATE, "mac={cn}")
FORWARD = "/api/devices/v1/authentication/auth_requests"


async def test_a_decommissioned_device_does_not_come_back_under_another_identity(bench: Bench) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.sandbox.state.devauth.decommission(bench.known("a").id)
    assert await bench.reason(pair, "a") is Reason.DECOMMISSIONED
    assert await bench.reason(pair, "b") is Reason.KEY_SPEAKS_FOR_OTHER


async def test_a_device_rejected_before_it_ever_came_through_does_not_either(bench: Bench) -> None:
    pair = bench.device()
    with pytest.raises(Exception, match="unauthorized"):
        bench.sandbox.state.devauth.submit(identity_of("a"), public_key_pem(pair.key))
    bench.decide("a", pair, Status.REJECTED)
    assert await bench.reason(pair, "a") is Reason.REJECTED_BY_PERSON
    assert await bench.reason(pair, "b") is Reason.KEY_SPEAKS_FOR_OTHER
    assert await bench.reason(bench.device("owner"), "a") is Reason.REJECTED_BY_PERSON


async def test_under_a_template_one_certificate_is_one_device(tmp_path: Path) -> None:
    async with Bench.running(tmp_path, identity_binding=TEMPLATE) as bench:
        pair = bench.device("a")
        assert await bench.reason(pair, "a") is Reason.ENROLLED
        request = make_auth_request({"mac": "a", "n": 1}, pair.key)
        assert (await bench.send(pair, request)).reason is Reason.KEY_SPEAKS_FOR_OTHER
        bench.decide("a", pair, Status.REJECTED)
        assert (await bench.send(pair, request)).reason is Reason.KEY_SPEAKS_FOR_OTHER


@pytest.mark.parametrize("fault", [{"drop": True, "after": True}, {"status": 503}, {"drop": True}])
async def test_an_answer_that_was_lost_opens_no_door_for_another_certificate(
    bench: Bench, fault: dict[str, bool | int]
) -> None:
    owner, thief = bench.device("owner"), bench.device("thief")
    bench.sandbox.faults.add(Fault(path=FORWARD, **fault))  # type: ignore[arg-type]  # a table
    assert (await bench.reason(owner, "a")).verdict is Verdict.LATER
    bench.sandbox.faults.clear()
    bench.clock.ahead = dt.timedelta(hours=1)
    assert await bench.reason(thief, "a") is Reason.IDENTITY_TAKEN
    assert (await bench.reason(owner, "a")).verdict is Verdict.GRANTED


async def test_a_device_accepted_before_the_gateway_is_for_its_own_key(bench: Bench) -> None:
    owner, thief = bench.device("owner"), bench.device("thief")
    devauth = bench.sandbox.state.devauth
    devauth.preauthorize(identity_of("a"), public_key_pem(owner.key))
    devauth.submit(identity_of("a"), public_key_pem(owner.key))
    for _ in range(2):
        assert await bench.reason(thief, "a") is Reason.IDENTITY_TAKEN
    assert await bench.reason(owner, "a") is Reason.ACCEPTED_UPSTREAM
    assert await bench.reason(owner, "a") is Reason.KNOWN


async def test_an_outage_does_not_make_a_claim_a_right(bench: Bench) -> None:
    owner, thief = bench.device("owner"), bench.device("thief")
    devauth = bench.sandbox.state.devauth
    devauth.preauthorize(identity_of("a"), public_key_pem(owner.key))
    devauth.submit(identity_of("a"), public_key_pem(owner.key))
    bench.sandbox.faults.add(Fault(path="/api/management/v2/devauth/devices", status=503))
    assert await bench.reason(thief, "a") is Reason.UPSTREAM_FAILED
    bench.sandbox.faults.clear()
    assert await bench.reason(thief, "a") is Reason.IDENTITY_TAKEN
    assert await bench.reason(owner, "a") is Reason.ACCEPTED_UPSTREAM


async def test_an_operator_may_give_such_a_device_to_another_key(bench: Bench) -> None:
    owner, board = bench.device("owner"), bench.device("board")
    devauth = bench.sandbox.state.devauth
    devauth.preauthorize(identity_of("a"), public_key_pem(owner.key))
    devauth.submit(identity_of("a"), public_key_pem(owner.key))
    presented = device_certificate(board.certificate_pem)
    await approve_move(bench.database, identity_of("a"), presented, "me", bench.clock())
    assert await bench.reason(board, "a") is Reason.KEY_ACCEPTED


async def test_first_use_after_off_does_not_begin_with_a_clean_slate(tmp_path: Path) -> None:
    off = IdentityBinding(BindingMode.OFF)
    async with Bench.running(tmp_path, identity_binding=off) as bench:
        owner, thief = bench.device("owner"), bench.device("thief")
        await bench.ask(owner, "a")
        async with Bench.before(bench.sandbox, tmp_path) as later:
            assert await later.reason(thief, "a") is Reason.IDENTITY_TAKEN
            assert await later.reason(owner, "a") is Reason.KNOWN


async def test_an_identity_longer_than_any_real_one_is_refused(bench: Bench) -> None:
    assert await bench.reason(bench.device(), "a" * 5000) is Reason.MALFORMED


async def test_an_approval_given_while_the_old_certificate_asks_stands(bench: Bench) -> None:
    old, new = bench.device("old"), bench.device("new")
    await bench.ask(old, "a")
    bench.sandbox.faults.latency(0.5, FORWARD, count=1)
    asked = asyncio.ensure_future(bench.reason(old, "a"))
    await until(lambda: bench.calls("POST", FORWARD) > 1, "the call")
    await approve_move(bench.database, identity_of("a"), device_certificate(new.certificate_pem), "me", bench.clock())
    assert await asked is Reason.IDENTITY_TAKEN
    assert await bench.reason(old, "a") is Reason.IDENTITY_TAKEN
    assert await bench.reason(new, "a") is Reason.KEY_ACCEPTED
