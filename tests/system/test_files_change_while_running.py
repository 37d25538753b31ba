"""Certificates, keys and CAs are replaced while devices are served; a bad file leaves the old one in force."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from mtls_ambassador.pki.issue import make_ca, make_server
from support.gateway import STUB, Gateway
from support.pki import Files, Pki, validity
from support.revocation import Traffic, becomes, call, swap
from support.upstream import Upstream

NOT_TAKEN = "not taken, the old one stays in force"


@dataclass(frozen=True, slots=True)
class Scene:
    gateway: Gateway
    pki: Pki
    context: ssl.SSLContext
    """Of a device of the first CA."""


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    pki = Pki(tmp_path)
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        yield Scene(gateway, pki, pki.client_context(pki.device()))


async def shown(at: Scene) -> int:
    """Serial of the server certificate that a new connection sees."""
    _, writer = await asyncio.open_connection("127.0.0.1", at.gateway.port, ssl=at.context, server_hostname="localhost")
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der).serial_number
    finally:
        writer.transport.abort()


async def test_a_new_server_certificate_is_shown_without_losing_a_call(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        new = make_server(at.pki.ca, ["127.0.0.1", "localhost"], validity())
        async with Traffic.of(at.gateway, [at.context]) as traffic:
            swap(at.pki.server.certificate, new.certificate_pem)
            await at.gateway.event(NOT_TAKEN)  # its key is still the old one's
            swap(at.pki.server.key, new.key_pem)
            wanted = x509.load_pem_x509_certificate(new.certificate_pem).serial_number
            await becomes(lambda: shown(at), wanted)
        assert traffic.failed == []


BAD: dict[str, tuple[Callable[[Pki], None], str]] = {
    "a key of another certificate": (
        lambda pki: swap(pki.server.key, pki.device("other").key.read_bytes()),
        "MTLS_SERVER_KEY: {server_key}: does not belong to the server certificate",
    ),
    "an empty certificate": (lambda pki: swap(pki.server.certificate, b""), "holds no PEM certificate"),
    "half a certificate": (
        lambda pki: swap(pki.server.certificate, pki.server.certificate.read_bytes()[:300]),
        "MTLS_SERVER_CERT",
    ),
    "rubbish for a CA": (lambda pki: swap(pki.ca_file, b"\x00\xff" * 99), "MTLS_TENANT_CA_PEM: {ca}: holds no PEM"),
    "a CA bundle that is gone": (lambda pki: pki.ca_file.unlink(), "No such file"),
    "a CA that shuts out everybody": (
        lambda pki: swap(pki.ca_file, make_ca("Another", validity()).certificate_pem),
        "every device would be shut out",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_file_leaves_the_old_one_in_force(tmp_path: Path, case: str) -> None:
    async with scene(tmp_path) as at:
        before = await shown(at)
        make_bad, words = BAD[case]
        make_bad(at.pki)
        line = await at.gateway.event(NOT_TAKEN)
        assert words.format(server_key=at.pki.server.key, ca=at.pki.ca_file) in line["reason"]
        assert "PRIVATE" not in line["reason"]
        assert await shown(at) == before
        assert await call(at.gateway, at.context) == 200


async def test_a_root_is_rolled_over_under_load(tmp_path: Path) -> None:
    """Old alone, old and new together, new alone: devices of both are served while their root is in the bundle."""
    async with scene(tmp_path) as at:
        new = make_ca("New CA", validity())
        moved = at.pki.client_context(at.pki.device("moved", ca=new))
        assert await call(at.gateway, moved) == "refused"
        async with Traffic.of(at.gateway, [at.context]) as traffic:
            swap(at.pki.ca_file, at.pki.ca.certificate_pem + new.certificate_pem)
            await becomes(lambda: call(at.gateway, moved), 200)
        assert traffic.failed == []
        async with Traffic.of(at.gateway, [moved]) as traffic:
            swap(at.pki.ca_file, new.certificate_pem)
            await becomes(lambda: call(at.gateway, at.context), "refused")
        assert traffic.failed == []


async def test_the_mender_servers_ca_is_replaced_while_running(tmp_path: Path) -> None:
    """A call goes on over connections that are open; new ones are checked with the new CA."""
    pki, path = Pki(tmp_path), tmp_path / "mender-ca.pem"
    old, new = make_ca("Old", validity()), make_ca("New", validity())
    files = Files.write(tmp_path, "mender", make_server(new, ["localhost"], validity()))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files.certificate, files.key)
    path.write_bytes(old.certificate_pem)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running(tls=tls) as upstream,
        Gateway.running(
            pki, f"https://localhost:{upstream.port}", command=STUB, environ={"MTLS_MENDER_CERT": str(path)}
        ) as gateway,
    ):
        assert await call(gateway, context) == 503
        swap(path, b"rubbish")
        assert "MTLS_MENDER_CERT" in (await gateway.event(NOT_TAKEN))["reason"]
        swap(path, new.certificate_pem)
        await becomes(lambda: call(gateway, context), 200)
