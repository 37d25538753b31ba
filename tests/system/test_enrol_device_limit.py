"""Mender's device limit is told as that, to the device and in the log; raising it is all that is needed."""

from pathlib import Path

import pytest

from mtls_ambassador.sandbox.device import DeviceError, SimulatedDevice
from support.enrolment import LOGIN
from support.mender import World


async def test_reported_as_what_it_is(tmp_path: Path) -> None:
    async with (
        World.running(tmp_path, device_limit=1) as world,
        SimulatedDevice(world.device(world.pair("one"), "a")) as first,
        SimulatedDevice(world.device(world.pair("two"), "b")) as second,
    ):
        await first.authorize()
        for _ in range(2):
            with pytest.raises(DeviceError, match="device-limit") as caught:
                await second.authorize()
            assert caught.value.status == 401
        line = await world.gateway.event("device refused")
        assert len(world.gateway.events("device refused")) == 1, "more of the same is counted in the ledger"
        assert (line["reason"], line["detail"]) == ("device-limit", "1 devices")
        asked = world.sandbox.journal.find("/api/management/v2/devauth/")
        ids = {entry.header("X-MEN-RequestID") for entry in asked if entry.path.endswith(("/max_devices", "/count"))}
        assert line["request_id"] in ids, "Mender's log and ours can be joined"
        told = await world.gateway.event("called Mender")
        (login,) = world.sandbox.journal.find(LOGIN)
        assert (told["call"], told["request_id"]) == ("login", login.header("X-MEN-RequestID"))
        await first.authorize()
        world.sandbox.state.devauth.limit = 2
        await second.authorize()
        await second.send_inventory()
