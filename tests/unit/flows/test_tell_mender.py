"""A denied device is rejected or decommissioned in Mender: real calls to the sandbox."""

import pytest

from mtls_ambassador.flows.tell_mender import InMender, KnownDevice, devices_of, tell_mender
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.sandbox.devauth import Status
from support.enrolment import Bench, identity_of


async def enrolled(bench: Bench, mac: str) -> KnownDevice:
    assert await bench.reason(bench.device(mac), mac) is Reason.ENROLLED
    (found,) = await bench.database.run(lambda c: devices_of(c, [identity_of(mac).sha256]))
    return found


async def test_a_device_is_rejected_and_stays_out(bench: Bench) -> None:
    device = await enrolled(bench, "a")
    (told,) = await tell_mender(bench.mender, [device], InMender.REJECT)
    assert (told.outcome, told.is_done, told.device_id) == ("rejected", True, device.device_id)
    assert [item.status for item in bench.known("a").auth_sets.values()] == [Status.REJECTED]


async def test_a_device_is_decommissioned(bench: Bench) -> None:
    device = await enrolled(bench, "a")
    (told,) = await tell_mender(bench.mender, [device], InMender.DECOMMISSION)
    assert told.outcome == "decommissioned"
    (again,) = await tell_mender(bench.mender, [device], InMender.DECOMMISSION)
    assert (again.outcome, again.is_done) == ("unknown there", True)
    (again,) = await tell_mender(bench.mender, [device], InMender.REJECT)
    assert again.outcome == "unknown there"


@pytest.mark.parametrize("wanted", InMender)
async def test_one_that_fails_keeps_the_others_from_nothing(bench: Bench, wanted: InMender) -> None:
    device = await enrolled(bench, "a")
    odd = KnownDevice("{}", "../no/id")
    told = await tell_mender(bench.mender, [odd, device], wanted)
    assert told[1].is_done
    assert told[1].outcome in {"rejected", "decommissioned"}


async def test_an_identity_that_never_enrolled_is_no_device(bench: Bench) -> None:
    assert await bench.database.run(lambda c: devices_of(c, [identity_of("nobody").sha256])) == []
