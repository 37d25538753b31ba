"""What the gateway knows survives its restart: a known device costs one call, and its identity stays its own."""

from pathlib import Path

import pytest

from mtls_ambassador.sandbox.device import DeviceError, SimulatedDevice
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.gateway import Gateway
from support.mender import World
from support.pki import Pki


async def test_after_a_restart(tmp_path: Path) -> None:
    pki, environ = Pki(tmp_path), {"MTLS_STATE_DIR": str(tmp_path / "state")}
    async with SandboxServer.running(SandboxConfig(password="password")) as sandbox:
        async with Gateway.running(pki, sandbox.url, environ=environ) as gateway:
            world = World(pki, sandbox, gateway)
            pair, thief = world.pair("device"), world.pair("thief")
            async with SimulatedDevice(world.device(pair, "a")) as device:
                await device.authorize()
        sandbox.journal.clear()
        async with Gateway.running(pki, sandbox.url, environ=environ) as gateway:
            world = World(pki, sandbox, gateway)
            async with SimulatedDevice(world.device(thief, "a")) as device:
                with pytest.raises(DeviceError, match="identity-taken"):
                    await device.authorize()
            async with SimulatedDevice(world.device(pair, "a")) as device:
                await device.authorize()
        assert [entry.path for entry in sandbox.journal.find("/api/")] == [AUTH_REQUESTS]
