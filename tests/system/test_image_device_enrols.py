"""Mender's own client, with the files taken out of a provisioned image, is accepted through the gateway."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mtls_ambassador.sandbox.real_client import RealClient
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.gateway import Gateway
from support.golden import CERTIFICATE, KEY, Line, make_golden
from support.mender import World
from support.pki import Pki
from support.wait import until

MAC = "02:00:00:00:00:42"
GOLDEN = {
    "ServerURL": "https://hosted.mender.io/",
    "TenantToken": "TENANT_TOKEN",
    "UpdatePollIntervalSeconds": 2,
    "InventoryPollIntervalSeconds": 2,
    "RetryPollIntervalSeconds": 2,
    "DBus": {"Enabled": False},
}
TRUST = "/etc/mender/trust.pem"


async def test_the_real_client_enrols_with_the_files_of_its_image(tmp_path: Path) -> None:
    line = Line(tmp_path, make_golden(tmp_path / "golden.sdimg", conf=json.dumps(GOLDEN)))
    line.run("pki", "server", "gateway", "--ip", "127.0.0.1")
    environ = {
        "MTLS_SERVER_CERT": str(tmp_path / "gateway/server.crt"),
        "MTLS_SERVER_KEY": str(tmp_path / "gateway/server.key"),
        "MTLS_TENANT_CA_PEM": str(tmp_path / "state/pki/trust.pem"),
    }
    own = Pki(tmp_path)
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as server,
        Gateway.running(own, server.url, environ=environ) as gateway,
    ):
        await asyncio.to_thread(provision, line, f"https://127.0.0.1:{gateway.port}")
        device = tmp_path / "device"
        device.mkdir()
        for path in (CERTIFICATE, KEY, TRUST, "/etc/mender/mender.conf"):
            line.run("image", "cp", f"{tmp_path / 'cam.img'}:{path}", device)
        # This machine is no device: the files are where they were taken out to, all else is as in the image.
        conf = (device / "mender.conf").read_text()
        for path in (CERTIFICATE, KEY, TRUST):
            assert f'"{path}"' in conf
            conf = conf.replace(f'"{path}"', f'"{device / Path(path).name}"')
        world = World(own, server, gateway)
        config = replace(world.real_client(world.pair("stray"), MAC), conf=conf)
        async with RealClient.running(config) as client:
            accepted = await until(lambda: world.accepted(MAC), "the device to be accepted", client.log)
            await until(lambda: server.state.inventory.get(accepted.id), "the inventory", client.log)
    certificate = x509.load_pem_x509_certificate((device / "mender-cert.pem").read_bytes())
    assert "CN=cam-7" in certificate.subject.rfc4514_string()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = certificate.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()
    assert list(accepted.auth_sets) == [pem], "the certificate's key signs, in one auth set"


def provision(line: Line, url: str) -> None:
    """An order, one patch of it put on the golden image."""
    out = line.home / "out"
    order = ("--count", "9", "--name", "cam-{n}", "--server-url", url, "--out", out)
    line.run("image", "provision", line.golden, *order)
    line.run("image", "apply", out / "cam-7.patch", line.golden, line.home / "cam.img")
