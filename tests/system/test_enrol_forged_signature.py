"""A forged or missing signature is refused at the gateway: nothing at all goes upstream."""

from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.pki.issue import make_key
from mtls_ambassador.sandbox.device import DeviceError, SimulatedDevice
from mtls_ambassador.sandbox.device_wire import make_auth_request
from support.mender import World


async def test_no_call_upstream(tmp_path: Path) -> None:
    async with (
        World.running(tmp_path) as world,
        SimulatedDevice(world.device(world.pair(), "a")) as device,
    ):
        good = device.auth_request()
        stranger = make_auth_request({"mac": "a"}, make_key())
        for forged, status in [
            (replace(good, signature=stranger.signature), 401),
            (replace(good, body=stranger.body), 401),
            (replace(good, body=good.body.replace(b'"a', b'"b')), 401),
            (replace(good, signature="no base64!"), 401),
            (replace(good, signature=""), 400),
            (replace(good, body=good.body + b" " * 65_536), 413),
        ]:
            with pytest.raises(DeviceError) as caught:
                await device.authorize(forged)
            assert caught.value.status == status
        assert world.sandbox.journal.total == 0
        await device.authorize()
