"""A device with a certificate made here enrols through a gateway with a certificate made here."""

from pathlib import Path

from mtls_ambassador.sandbox.device import DeviceConfig, SimulatedDevice
from mtls_ambassador.sandbox.pairs import read_pair
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.gateway import Gateway
from support.pki import Pki
from support.pki_cli import PkiCli


async def test_from_nothing_to_an_accepted_device(tmp_path: Path) -> None:
    cli = PkiCli(tmp_path, {"MTLS_CA_PASSPHRASE": "correct horse"})
    cli.run("init", "--organization", "My Organization")
    cli.run("server", "localhost", "--dns", "localhost", "--out", "gateway")
    cli.run("device", "cam-1")
    environ = {
        "MTLS_SERVER_CERT": str(tmp_path / "gateway" / "server.crt"),
        "MTLS_SERVER_KEY": str(tmp_path / "gateway" / "server.key"),
        "MTLS_TENANT_CA_PEM": str(cli.pki / "trust.pem"),
        "MTLS_IDENTITY_BINDING": "name={cn}",
    }
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as sandbox,
        Gateway.running(Pki(tmp_path), sandbox.url, environ=environ) as gateway,
    ):
        pair = read_pair(tmp_path / "cam-1" / "mender-cert.pem", tmp_path / "cam-1" / "mender-cert-private.pem")
        root = (cli.pki / "root" / "ca-cert.pem").read_bytes()
        async with SimulatedDevice(DeviceConfig(gateway.url, {"name": "cam-1"}, ca_pem=root, pair=pair)) as device:
            await device.authorize()
        assert len(sandbox.state.devauth.devices(["accepted"])) == 1
