"""The commands of Mender's page, word for word; then ours on top of the CA they made."""

from pathlib import Path

from mtls_ambassador.sandbox.device import DeviceConfig, SimulatedDevice
from mtls_ambassador.sandbox.pairs import read_pair
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.gateway import Gateway
from support.pki import Pki, run_seed_commands
from support.pki_cli import PkiCli, openssl


async def test_an_imported_ca_goes_on_where_the_page_ended(tmp_path: Path) -> None:
    run_seed_commands(tmp_path)
    cli = PkiCli(tmp_path)
    said = cli.run("import", "--cert", "ca-cert.pem", "--key", "ca-private.key", "--no-passphrase")
    assert "warn  version: X.509 v1" in said
    cli.run("server", "localhost", "--dns", "localhost", "--out", "gateway")
    cli.run("device", "dev-1")
    cli.run("sign", "device-cert.req", "--out", "signed.pem")
    cli.run("renew", "device-cert.pem", "--out", "renewed.pem", "--again")
    cli.run("crl")
    made = ("gateway/server.crt", "dev-1/mender-cert.pem", "signed.pem", "renewed.pem")
    for name in made:
        openssl("verify", "-CAfile", tmp_path / "ca-cert.pem", tmp_path / name)
    environ = {
        "MTLS_SERVER_CERT": str(tmp_path / "gateway" / "server.crt"),
        "MTLS_SERVER_KEY": str(tmp_path / "gateway" / "server.key"),
        "MTLS_TENANT_CA_PEM": str(cli.pki / "trust.pem"),
    }
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as sandbox,
        Gateway.running(Pki(tmp_path), sandbox.url, environ=environ) as gateway,
    ):
        pair = read_pair(tmp_path / "dev-1" / "mender-cert.pem", tmp_path / "dev-1" / "mender-cert-private.pem")
        ca_pem = (tmp_path / "ca-cert.pem").read_bytes()
        config = DeviceConfig(gateway.url, {"mac": "52:54:00:12:34:56"}, ca_pem=ca_pem, pair=pair)
        async with SimulatedDevice(config) as device:
            await device.authorize()
        assert len(sandbox.state.devauth.devices(["accepted"])) == 1
