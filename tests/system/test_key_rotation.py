"""A device that comes back with a new key and a certificate of the same subject is let in, and stays one device."""

from pathlib import Path

from mtls_ambassador.pki.issue import KeyKind
from mtls_ambassador.sandbox.device import SimulatedDevice
from mtls_ambassador.sandbox.real_client import RealClient
from support.mender import World
from support.wait import until

MAC = "02:00:00:00:00:03"


def statuses(world: World) -> list[str]:
    """Of the auth sets of the one device."""
    (device,) = world.sandbox.state.devauth.devices()
    return sorted(str(auth_set.status) for auth_set in device.auth_sets.values())


async def test_the_real_client_with_a_new_key_is_the_same_device(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        state = world.sandbox.state
        async with RealClient.running(world.real_client(world.pair("device-3", KeyKind.RSA), MAC)) as client:
            before = await until(lambda: world.accepted(MAC), "the device to be accepted", client.log)
            await client.restart_with(world.pair("device-3", KeyKind.P256))
            await until(lambda: statuses(world) == ["accepted", "rejected"], "the new key to be accepted", client.log)
            state.inventory.clear()
            await until(lambda: state.inventory.get(before.id), "an inventory with the new key", client.log)
        assert [device.id for device in state.devauth.devices()] == [before.id]


async def test_the_new_key_is_accepted_in_the_very_auth_request_that_brings_it(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        for kind in (KeyKind.P256, KeyKind.ED25519, KeyKind.RSA):
            async with SimulatedDevice(world.device(world.pair("device-3", kind), MAC)) as device:
                await device.authorize()
                await device.send_inventory()
        assert statuses(world) == ["accepted", "rejected", "rejected"]
