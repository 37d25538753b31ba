"""Devices of every key kind, behaving as either of Mender's clients, live their whole life through the gateway."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.pki.issue import KeyKind, make_key
from mtls_ambassador.sandbox.device import ClientStyle, DeviceConfig, SimulatedDevice
from support.mender import World


async def live(world: World, config: DeviceConfig) -> None:
    """Enrol, report, find the update that is there by then, install it, hold a WebSocket."""
    async with SimulatedDevice(config) as device:
        await device.authorize()
        await device.send_inventory({"device_type": config.device_type, "artifact_name": config.artifact_name})
        assert await device.poll_deployment() is None

        accepted = world.accepted(str(config.identity["mac"]))
        assert accepted is not None
        release = f"release-{accepted.id}"
        order = world.deploy(accepted, b"new release\n", Path("/never/installed"), release=release)
        deployment = await device.poll_deployment()
        assert deployment is not None
        assert deployment.uri.startswith(world.gateway.url), "the download passes the gateway too"
        await device.report_status(deployment.id, "downloading")
        artifact = (world.pki.folder / f"{release}.mender").read_bytes()
        whole = await device.download(deployment.uri)
        assert whole.sha256 == hashlib.sha256(artifact).hexdigest()
        rest = await device.download(deployment.uri, start=1000)
        assert rest.content_range == f"bytes 1000-{len(artifact) - 1}/{len(artifact)}"
        assert rest.sha256 == hashlib.sha256(artifact[1000:]).hexdigest()
        for status in ("installing", "success"):
            await device.report_status(deployment.id, status)
        assert order.statistics["success"] == 1

        async with device.open_websocket() as socket:
            assert socket.protocol == "protomsg/msgpack"


@pytest.mark.parametrize("style", ClientStyle)
async def test_devices_of_every_key_kind_live_their_whole_life(tmp_path: Path, style: ClientStyle) -> None:
    async with World.running(tmp_path) as world:
        for number, kind in enumerate(KeyKind):
            await live(world, world.device(world.pair(f"{kind}-device", kind), f"02:00:00:00:01:{number:02}", style))


async def test_the_auth_key_may_be_another_than_the_certificates(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        config = world.device(world.pair("device", KeyKind.P256), "02:00:00:00:01:01", ClientStyle.CPP)
        await live(world, replace(config, auth_key=make_key(KeyKind.ED25519)))
