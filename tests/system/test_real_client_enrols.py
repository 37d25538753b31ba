"""Mender's own client is accepted by its certificate with nobody clicking, reports, and installs an update."""

from pathlib import Path

import pytest

from mtls_ambassador.pki.issue import KeyKind
from mtls_ambassador.sandbox.real_client import RealClient
from support.mender import World
from support.wait import until

MAC = "02:00:00:00:00:01"


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.RSA, KeyKind.ED25519])
async def test_the_real_client_enrols_reports_inventory_and_installs_an_artifact(tmp_path: Path, kind: KeyKind) -> None:
    installed = tmp_path / "installed" / "hello.txt"
    async with World.running(tmp_path) as world:
        state = world.sandbox.state
        config = world.real_client(world.pair("real-client", kind), MAC)
        async with RealClient.running(config) as client:
            device = await until(lambda: world.accepted(MAC), "the device to be accepted", client.log)
            inventory = await until(lambda: state.inventory.get(device.id), "the inventory", client.log)
            assert inventory.attributes["site"] == "line 7"
            assert str(inventory.attributes["mender_client_version"]).startswith("3.")

            deployment = world.deploy(device, b"new release\n", installed)
            client.check_update()
            await until(lambda: deployment.status == "finished", "the end of the deployment", client.log)
            assert deployment.statistics["success"] == 1
            assert installed.read_bytes() == b"new release\n"
            await until(
                lambda: state.inventory[device.id].attributes["artifact_name"] == "release-2", "the new release"
            )
        requests = world.sandbox.journal.find("/api/devices/v1/authentication/auth_requests")
        assert {entry.status for entry in requests} == {200}, "no attempt of the device was in vain"
