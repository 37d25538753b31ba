"""A person's decision in Mender wins, whatever a device comes with; where none was made, the certificate decides."""

import pytest

from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.sandbox.devauth import Status
from support.enrolment import Bench, identity_of


async def test_rejected_stays_out_with_any_key_until_accepted(bench: Bench) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.decide("a", pair, Status.REJECTED)
    for _ in range(2):
        assert await bench.reason(pair, "a") is Reason.REJECTED_BY_PERSON
    bench.forget()
    renewed = bench.device()
    assert (await bench.reason(renewed, "a")).withdraws
    assert (await bench.reason(pair, "a", make_key())).withdraws
    assert bench.seen()["preauthorize"] == bench.seen()["accept"] == 0
    assert bench.known("a").status is not Status.ACCEPTED
    bench.decide("a", pair, Status.ACCEPTED)
    assert await bench.reason(pair, "a") is Reason.ACCEPTED_UPSTREAM
    assert await bench.reason(pair, "a") is Reason.KNOWN
    assert await bench.reason(renewed, "a") is Reason.KEY_ACCEPTED


async def test_rejected_while_offline_and_back_with_a_new_key_stays_out(bench: Bench) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.decide("a", pair, Status.REJECTED)
    renewed = bench.device()
    assert await bench.reason(renewed, "a") is Reason.REJECTED_BY_PERSON
    bench.decide("a", pair, Status.ACCEPTED)
    assert await bench.reason(renewed, "a") is Reason.KEY_ACCEPTED


@pytest.mark.parametrize("back_with", ["same", "new"])
async def test_a_device_put_back_to_pending_waits_for_a_person(bench: Bench, back_with: str) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.decide("a", pair, Status.PENDING)
    back = pair if back_with == "same" else bench.device()
    for _ in range(3):
        assert await bench.reason(back, "a") is Reason.WITHDRAWN
    assert public_key_pem(back.key) in bench.known("a").auth_sets, "the person must find it there to accept it"
    bench.decide("a", back, Status.ACCEPTED)
    assert await bench.reason(back, "a") is Reason.ACCEPTED_UPSTREAM


@pytest.mark.parametrize("back_with", ["same", "new"])
async def test_a_device_whose_auth_set_was_dismissed_waits_for_a_person(bench: Bench, back_with: str) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    device = bench.known("a")
    bench.sandbox.state.devauth.delete_auth_set(device.id, device.auth_sets[public_key_pem(pair.key)].id)
    back = pair if back_with == "same" else bench.device()
    for _ in range(2):
        assert await bench.reason(back, "a") is Reason.WITHDRAWN
    bench.decide("a", back, Status.ACCEPTED)
    assert await bench.reason(back, "a") is Reason.ACCEPTED_UPSTREAM


@pytest.mark.parametrize("back_with", ["same", "new", "other subject"])
async def test_decommissioned_stays_out_until_a_person_lets_it_in(bench: Bench, back_with: str) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.sandbox.state.devauth.decommission(bench.known("a").id)
    assert bench.sandbox.state.devauth.count() == 0
    bench.forget()
    back = pair if back_with == "same" else bench.device()
    for _ in range(3):
        assert await bench.reason(back, "a") is Reason.DECOMMISSIONED
    if back_with == "other subject":
        back = bench.device("replacement")
        assert await bench.reason(back, "a") is Reason.DECOMMISSIONED
    assert bench.seen()["preauthorize"] == bench.seen()["accept"] == 0
    bench.decide("a", back, Status.ACCEPTED)
    assert await bench.reason(back, "a") is Reason.ACCEPTED_UPSTREAM
    assert await bench.reason(back, "a") is Reason.KNOWN


async def test_rejected_and_then_decommissioned_frees_the_identity_for_a_replacement(bench: Bench) -> None:
    pair, replacement = bench.device(), bench.device("replacement")
    await bench.ask(pair, "a")
    bench.decide("a", pair, Status.REJECTED)
    assert await bench.reason(pair, "a") is Reason.REJECTED_BY_PERSON
    assert await bench.reason(replacement, "a") is Reason.IDENTITY_TAKEN
    bench.sandbox.state.devauth.decommission(bench.known("a").id)
    assert await bench.reason(pair, "a") is Reason.DECOMMISSIONED
    assert await bench.reason(replacement, "a") is Reason.DECOMMISSIONED
    bench.decide("a", replacement, Status.ACCEPTED)
    assert await bench.reason(replacement, "a") is Reason.ACCEPTED_UPSTREAM


async def test_decommissioned_and_announced_anew_by_a_person_rotates_its_key_later(bench: Bench) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    devauth, identity = bench.sandbox.state.devauth, bench.known("a").identity
    devauth.decommission(bench.known("a").id)
    devauth.preauthorize(identity, public_key_pem(pair.key))
    assert await bench.reason(pair, "a") is Reason.ACCEPTED_UPSTREAM
    assert await bench.reason(pair, "a", make_key()) is Reason.KEY_ACCEPTED


async def test_while_it_is_being_decommissioned_it_stays_out(bench: Bench) -> None:
    bench.sandbox.state.devauth.decommission_delay = 3600
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.sandbox.state.devauth.decommission(bench.known("a").id)
    assert await bench.reason(pair, "a") is Reason.DECOMMISSIONED
    assert await bench.reason(bench.device(), "a") is Reason.DECOMMISSIONED


async def test_a_pending_device_that_was_never_decided_is_accepted(bench: Bench) -> None:
    """It asked at Mender before there was a gateway."""
    pair = bench.device()
    with pytest.raises(Exception, match="unauthorized"):
        bench.sandbox.state.devauth.submit(identity_of("a"), public_key_pem(pair.key))
    assert await bench.reason(pair, "a") is Reason.KEY_ACCEPTED


async def test_a_pending_device_decommissioned_by_a_person_may_come_anew(bench: Bench) -> None:
    """Mender's own gateway test does this (integration, test_mtls.py)."""
    pair = bench.device()
    with pytest.raises(Exception, match="unauthorized"):
        bench.sandbox.state.devauth.submit(identity_of("a"), public_key_pem(pair.key))
    bench.sandbox.state.devauth.decommission(bench.known("a").id)
    assert await bench.reason(pair, "a") is Reason.ENROLLED


async def test_a_device_without_any_auth_set_is_accepted(bench: Bench) -> None:
    pair, devauth = bench.device(), bench.sandbox.state.devauth
    with pytest.raises(Exception, match="unauthorized"):
        devauth.submit(identity_of("a"), "gone")
    device = bench.known("a")
    devauth.delete_auth_set(device.id, device.auth_sets["gone"].id)
    assert bench.known("a").status is Status.NOAUTH
    assert await bench.reason(pair, "a") is Reason.KEY_ACCEPTED


async def test_preauthorized_by_somebody_else(bench: Bench) -> None:
    pair = bench.device()
    bench.sandbox.state.devauth.preauthorize(identity_of("a"), public_key_pem(pair.key))
    assert await bench.reason(pair, "a") is Reason.ENROLLED


async def test_accepted_by_a_person_before_the_gateway_knew_it(bench: Bench) -> None:
    pair, devauth = bench.device(), bench.sandbox.state.devauth
    devauth.preauthorize(identity_of("a"), public_key_pem(pair.key))
    devauth.submit(identity_of("a"), public_key_pem(pair.key))
    assert await bench.reason(pair, "a") is Reason.ACCEPTED_UPSTREAM


async def test_rejected_before_the_gateway_knew_it(bench: Bench) -> None:
    pair, devauth = bench.device(), bench.sandbox.state.devauth
    with pytest.raises(Exception, match="unauthorized"):
        devauth.submit(identity_of("a"), public_key_pem(pair.key))
    bench.decide("a", pair, Status.REJECTED)
    assert await bench.reason(pair, "a") is Reason.REJECTED_BY_PERSON
    assert await bench.reason(bench.device(), "a") is Reason.REJECTED_BY_PERSON
    bench.decide("a", pair, Status.ACCEPTED)
    assert await bench.reason(pair, "a") is Reason.ACCEPTED_UPSTREAM
