"""Mender's own client takes the `mender.conf` we write as it is, and enrols with the certificate it names."""

import json
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mtls_ambassador.pki.mender_conf import merge
from mtls_ambassador.sandbox.real_client import RealClient
from support.mender import World
from support.wait import until

MAC = "02:00:00:00:00:07"
IMAGE = {
    "serverurl": "https://hosted.mender.io/",
    "TenantToken": "TENANT_TOKEN",
    "UpdatePollIntervalSeconds": 2,
    "InventoryPollIntervalSeconds": 2,
    "RetryPollIntervalSeconds": 2,
    "DBus": {"Enabled": False},
    "ArtifactVerifyKeys": [],
}
"""As an image builder may have left it."""


async def test_the_real_client_enrols_with_a_merged_mender_conf(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        device = world.pki.device("cam-7")
        conf = merge(
            json.dumps(IMAGE),
            server_url=world.gateway.url,
            certificate_path=str(device.certificate),
            key_path=str(device.key),
            server_certificate=str(world.pki.ca_file),
        )
        # The pair in the client's own folder is another one: the configuration alone must lead to ours.
        config = world.real_client(world.pair("unused"), MAC)
        config = replace(config, conf=conf)
        async with RealClient.running(config) as client:
            accepted = await until(lambda: world.accepted(MAC), "the device to be accepted", client.log)
            await until(lambda: world.sandbox.state.inventory.get(accepted.id), "the inventory", client.log)
        certificate = x509.load_pem_x509_certificate(device.certificate.read_bytes())
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = certificate.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()
        assert list(accepted.auth_sets) == [pem]
