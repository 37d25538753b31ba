"""Mender's own client, given the files `pki` makes as they are, enrols through a gateway with files of `pki`."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mtls_ambassador.sandbox.real_client import RealClient
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.gateway import Gateway, clean_environ
from support.mender import World
from support.pki import Pki
from support.wait import until

MAC = "02:00:00:00:00:07"
IMAGE = {
    "serverurl": "https://hosted.mender.io/",
    "TenantToken": "TENANT_TOKEN",
    "UpdatePollIntervalSeconds": 2,
    "InventoryPollIntervalSeconds": 2,
    "RetryPollIntervalSeconds": 2,
    "DBus": {"Enabled": False},
}
"""As an image builder may have left it."""


async def pki(folder: Path, *words: str) -> None:
    """Run a `pki` command with its state in `folder`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mtls_ambassador", "pki", *words),
        cwd=folder,
        env=clean_environ() | {"MTLS_STATE_DIR": str(folder / "factory")},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, f"pki {' '.join(words)}: {errors.decode()}"


async def test_the_real_client_enrols_with_files_of_pki(tmp_path: Path) -> None:
    await pki(tmp_path, "init", "--no-passphrase")
    await pki(tmp_path, "server", "gateway", "--ip", "127.0.0.1")
    trust = tmp_path / "factory/pki/trust.pem"
    environ = {
        "MTLS_SERVER_CERT": str(tmp_path / "gateway/server.crt"),
        "MTLS_SERVER_KEY": str(tmp_path / "gateway/server.key"),
        "MTLS_TENANT_CA_PEM": str(trust),
    }
    own = Pki(tmp_path)
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as server,
        Gateway.running(own, server.url, environ=environ) as gateway,
    ):
        (tmp_path / "mender.conf").write_text(json.dumps(IMAGE | {"ServerCertificate": str(trust)}))
        device = tmp_path / "cam-7"
        to_conf = (
            "--mender-conf",
            "mender.conf",
            "--server-url",
            f"https://127.0.0.1:{gateway.port}",
            "--device-dir",
            str(device),
        )
        await pki(tmp_path, "device", "cam-7", *to_conf)
        world = World(own, server, gateway)
        # The client's own folder has a pair and CA the gateway does not know: only the configuration leads to ours.
        stray = world.real_client(world.pair("stray"), MAC)
        config = replace(stray, conf=(device / "mender.conf").read_text())
        async with RealClient.running(config) as client:
            accepted = await until(lambda: world.accepted(MAC), "the device to be accepted", client.log)
            await until(lambda: server.state.inventory.get(accepted.id), "the inventory", client.log)
    certificate = x509.load_pem_x509_certificate((device / "mender-cert.pem").read_bytes())
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = certificate.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()
    assert list(accepted.auth_sets) == [pem], "the certificate's key signs, in one auth set"
