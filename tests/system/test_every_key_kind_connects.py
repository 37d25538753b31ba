"""Devices with RSA, P-256, P-384, P-521 and Ed25519 keys connect, and with what the seed's openssl commands make."""

import ssl
from pathlib import Path

import pytest

from mtls_ambassador.pki.issue import KeyKind, make_ca
from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Files, Pki, run_seed_commands, validity
from support.upstream import Upstream

CALL = request("/api/devices/v1/inventory/device/attributes")


@pytest.mark.parametrize("ca_kind", KeyKind)
async def test_every_device_key_under_every_ca_key(tmp_path: Path, ca_kind: KeyKind) -> None:
    pki = Pki(tmp_path, kind=ca_kind)
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        for kind in KeyKind:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = pki.client_context(pki.device(kind=kind))
                context.minimum_version = context.maximum_version = version
                assert (await ask(gateway.port, context, CALL)).status == 200, (kind, version)
        assert len(upstream.requests) == 2 * len(KeyKind)


async def test_certificates_of_the_seed_connect(tmp_path: Path) -> None:
    """They are X.509 version 1 without any extension, and the server's has a common name only."""
    pki = Pki(tmp_path)
    run_seed_commands(tmp_path)
    seed = {
        "MTLS_SERVER_CERT": str(tmp_path / "server-cert.pem"),
        "MTLS_SERVER_KEY": str(tmp_path / "server-private.key"),
        "MTLS_TENANT_CA_PEM": str(tmp_path / "ca-cert.pem"),
    }
    context = ssl.create_default_context(cafile=tmp_path / "ca-cert.pem")
    context.load_cert_chain(tmp_path / "device-cert.pem", tmp_path / "device-private.key")
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=seed) as gateway,
    ):
        assert (await ask(gateway.port, context, CALL)).status == 200


async def test_intermediates_in_the_bundle_or_from_the_device(tmp_path: Path) -> None:
    """Mender's C++ client sends its leaf alone, so the bundle must be able to hold the intermediate."""
    pki = Pki(tmp_path)
    middle = make_ca("Middle", validity(), issuer=pki.ca)
    leaf = pki.device("leaf-only", ca=middle)
    chain = pki.device("with-chain", ca=middle, chain=(middle,))
    both, only_middle = tmp_path / "both.pem", tmp_path / "middle.pem"
    both.write_bytes(middle.certificate_pem + pki.ca.certificate_pem)
    only_middle.write_bytes(middle.certificate_pem)
    cases: list[tuple[Path, Files, bool]] = [
        (pki.ca_file, chain, True),
        (pki.ca_file, leaf, False),
        (both, leaf, True),
        (both, chain, True),
        (only_middle, leaf, True),
        (only_middle, chain, True),
        (only_middle, pki.device("of-the-root"), False),
    ]
    for bundle in (pki.ca_file, both, only_middle):
        environ = {"MTLS_TENANT_CA_PEM": str(bundle)}
        async with (
            Upstream.running() as upstream,
            Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=environ) as gateway,
        ):
            for each, device, good in cases:
                if each != bundle:
                    continue
                try:
                    status = (await ask(gateway.port, pki.client_context(device), CALL)).status
                except (ssl.SSLError, EOFError, ConnectionError):
                    status = 0
                assert (status == 200) == good, (bundle.name, device.certificate.name, gateway.lines)
