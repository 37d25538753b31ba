"""Certificate A cannot take the identity of device B: not by its own key, not by any spelling, not while B is away."""

import json
from pathlib import Path

import pytest

from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.sandbox.device import DeviceError, SimulatedDevice
from mtls_ambassador.sandbox.device_wire import AuthRequest, make_auth_request, sign
from support.mender import World


async def test_refused_without_a_call_upstream(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        victim, thief, fresh = world.pair("victim"), world.pair("thief"), world.pair("fresh")
        for pair, mac in ((victim, "a"), (thief, "b")):
            async with SimulatedDevice(world.device(pair, mac)) as device:
                await device.authorize()
        world.sandbox.journal.clear()
        before = world.accepted("a")
        spelt = json.dumps({"id_data": '{ "mac":"\\u0061" }', "pubkey": public_key_pem(thief.key)}).encode()
        for pair, code in ((thief, "key-speaks-for-other"), (fresh, "identity-taken")):
            async with SimulatedDevice(world.device(pair, "a")) as device:
                for request in (
                    None,
                    make_auth_request({"mac": "a"}, make_key()),
                    AuthRequest(spelt, sign(spelt, thief.key)),
                ):
                    with pytest.raises(DeviceError, match=code) as caught:
                        await device.authorize(request)
                    assert caught.value.status == 401
        assert not world.sandbox.journal.find("/api/")
        assert before == world.accepted("a")
        async with SimulatedDevice(world.device(victim, "a")) as device:
            await device.authorize()
            await device.send_inventory()
