"""What the commands of Mender's page make works as it stands: X.509 v1, and a server certificate without a SAN."""

from pathlib import Path

from mtls_ambassador.sandbox.device import DeviceConfig, SimulatedDevice
from mtls_ambassador.sandbox.pairs import read_pair
from mtls_ambassador.sandbox.real_client import RealClient, RealClientConfig
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.gateway import Gateway
from support.pki import Pki, run_seed_commands
from support.wait import until


async def test_the_real_client_and_a_simulated_device_enrol_with_the_files_of_mender_s_page(tmp_path: Path) -> None:
    run_seed_commands(tmp_path)
    pair = read_pair(tmp_path / "device-cert.pem", tmp_path / "device-private.key")
    ca_pem = (tmp_path / "ca-cert.pem").read_bytes()
    environ = {
        "MTLS_SERVER_CERT": str(tmp_path / "server-cert.pem"),
        "MTLS_SERVER_KEY": str(tmp_path / "server-private.key"),
        "MTLS_TENANT_CA_PEM": str(tmp_path / "ca-cert.pem"),
    }
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as sandbox,
        Gateway.running(Pki(tmp_path), sandbox.url, environ=environ) as gateway,
    ):
        accepted = sandbox.state.devauth.devices
        config = RealClientConfig(gateway.url, pair, ca_pem, "52:54:00:12:34:56", tenant_token="dummy")
        async with RealClient.running(config) as client:
            await until(lambda: accepted(["accepted"]), "the device to be accepted", client.log)
            await until(lambda: sandbox.state.inventory, "its inventory", client.log)
        identity = {"mac": "52:54:00:12:34:56"}
        async with SimulatedDevice(DeviceConfig(gateway.url, identity, ca_pem=ca_pem, pair=pair)) as device:
            await device.authorize()
            await device.send_inventory()
        assert len(accepted()) == 1
