"""A management login that expired under 100 concurrent auth requests causes one new login (MEN-9043)."""

import asyncio
from pathlib import Path

from mtls_ambassador.sandbox.device import DeviceConfig, SimulatedDevice
from support.enrolment import LOGIN
from support.mender import World


async def authorize(config: DeviceConfig) -> None:
    async with SimulatedDevice(config) as device:
        await device.authorize()


async def test_one_login(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        await authorize(world.device(world.pair("first"), "first"))
        configs = [world.device(world.pair(f"cam-{number}"), str(number)) for number in range(100)]
        assert world.sandbox.state.users.expire_logins() == 1
        world.sandbox.journal.clear()
        await asyncio.gather(*map(authorize, configs))
        assert len(world.sandbox.journal.find(LOGIN)) == 1
        assert len(world.sandbox.state.devauth.devices(["accepted"])) == 101
