"""A device rejected by a person stays rejected, with a new key too, and comes back when the person accepts it."""

from pathlib import Path

import pytest

from mtls_ambassador.pki.issue import Pair, public_key_pem
from mtls_ambassador.sandbox.devauth import Device, Status
from mtls_ambassador.sandbox.device import DeviceError, SimulatedDevice
from support.mender import World

MAC = "a"


def decide(world: World, device: Device, pair: Pair, status: Status) -> None:
    auth_set = device.auth_sets[public_key_pem(pair.key)]
    world.sandbox.state.devauth.set_status(device.id, auth_set.id, status)


async def test_a_persons_decision_wins(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        pair, renewed = world.pair("device"), world.pair("device")
        async with (
            SimulatedDevice(world.device(pair, MAC)) as device,
            SimulatedDevice(world.device(renewed, MAC)) as same_device,
        ):
            await device.authorize()
            found = world.accepted(MAC)
            assert found
            decide(world, found, pair, Status.REJECTED)
            for tried in (device, same_device, device):
                with pytest.raises(DeviceError, match=r"rejected-by-person|withdrawn") as caught:
                    await tried.authorize()
                assert caught.value.status == 401
            assert world.accepted(MAC) is None
            decide(world, found, pair, Status.ACCEPTED)
            await device.authorize()
            await device.send_inventory()
            await same_device.authorize()
            await same_device.send_inventory()
        assert not any(b'"force":true' in (entry.body or b"") for entry in world.sandbox.journal.find())
