"""The Mender server goes away in the middle of 200 enrolments: all devices are in after it, without any restart."""

import asyncio
from pathlib import Path

from mtls_ambassador.sandbox.device import DeviceError, SimulatedDevice
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.cable import Cable
from support.gateway import Gateway
from support.mender import World
from support.pki import Pki
from support.wait import until

DEVICES = 200


async def test_all_are_accepted_after_it(tmp_path: Path) -> None:
    pki, refused = Pki(tmp_path), list[DeviceError]()
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as sandbox,
        Cable.to(sandbox.port) as cable,
        Gateway.running(pki, cable.url) as gateway,
    ):
        world, places = World(pki, sandbox, gateway), asyncio.Semaphore(16)
        devauth, children = sandbox.state.devauth, [gateway.child("envoy"), gateway.child("service")]

        async def enrol(number: int) -> None:
            config = world.device(world.pair(f"cam-{number}"), f"mac-{number}")
            while True:
                try:
                    async with places, SimulatedDevice(config) as device:
                        await device.authorize()
                        return
                except DeviceError as error:
                    refused.append(error)
                await asyncio.sleep(0.1)

        async def outage() -> None:
            await until(lambda: len(devauth.devices(["accepted"])) >= DEVICES // 4, "a quarter of them")
            await cable.pull()
            await until(lambda: len(refused) > DEVICES // 4, "devices that are told to come again")
            await cable.plug()

        await asyncio.gather(outage(), *(enrol(number) for number in range(DEVICES)))
        assert len(devauth.devices(["accepted"])) == len(devauth.devices()) == DEVICES
        assert {error.status for error in refused} == {503}
        assert all(int(error.retry_after) >= 1 for error in refused)
        assert [gateway.child("envoy"), gateway.child("service")] == children
