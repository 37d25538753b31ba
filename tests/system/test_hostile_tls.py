"""TLS towards devices as testssl.sh finds it clean: versions, ciphers, groups, no compression, no renegotiation."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from mtls_ambassador.pki.issue import KeyKind, make_server
from support.client import PATIENCE
from support.gateway import STUB, Gateway
from support.pki import Files, Pki, validity

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEALED = {
    "ECDHE-{}-AES128-GCM-SHA256",
    "ECDHE-{}-AES256-GCM-SHA384",
    "ECDHE-{}-CHACHA20-POLY1305",
}
"""All that TLS 1.2 may agree on: fresh keys for each connection, encryption and integrity in one."""
KEYS = {KeyKind.P256: "ECDSA", KeyKind.RSA: "RSA"}
"""Of the server certificate."""
WEAK_GROUPS = ["secp224r1", "secp256k1", "brainpoolP256r1", "ffdhe2048", "sect283k1"]
GOOD_GROUPS = ["X25519", "P-256"]


@dataclass(frozen=True, slots=True)
class Server:
    gateway: Gateway
    pki: Pki
    device: Files
    key: str

    async def ask(self, *options: str, say: bytes = b"") -> str:
        """What `openssl s_client` tells of a handshake with a good device certificate."""
        command = [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{self.gateway.port}",
            "-CAfile",
            str(self.pki.ca_file),
        ]
        command += ["-cert", str(self.device.certificate), "-key", str(self.device.key), *options]
        done = await asyncio.to_thread(
            subprocess.run, command, input=say, capture_output=True, timeout=PATIENCE, check=False
        )
        return (done.stdout + done.stderr).decode(errors="replace")

    async def agrees(self, *options: str) -> str:
        """The cipher, empty when there was no handshake."""
        found = re.search(r"Cipher is (\S+)", await self.ask(*options))
        return "" if not found or found[1] == "(NONE)" else found[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KEYS)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    pki = Pki(tmp_path_factory.mktemp("pki"))
    pair = make_server(pki.ca, ["127.0.0.1", "localhost"], validity(), kind=request.param)
    pki.server = Files.write(pki.folder, "server", pair)
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        yield Server(gateway, pki, pki.device(), KEYS[request.param])


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
async def test_no_old_version(server: Server, version: str) -> None:
    assert await server.agrees(version, "-cipher", "ALL:@SECLEVEL=0") == ""


async def test_only_sealed_ciphers_with_fresh_keys(server: Server) -> None:
    wanted = {cipher.format(server.key) for cipher in SEALED}
    rest = "ALL:COMPLEMENTOFALL:@SECLEVEL=0:" + ":".join(f"!{cipher}" for cipher in wanted)
    assert await server.agrees("-tls1_2", "-cipher", rest) == ""
    for cipher in wanted:
        assert await server.agrees("-tls1_2", "-cipher", cipher) == cipher


async def test_only_good_groups(server: Server) -> None:
    for group in GOOD_GROUPS:
        assert await server.agrees("-tls1_3", "-groups", group) != "", group
    for version in ("-tls1_2", "-tls1_3"):
        for group in WEAK_GROUPS:
            assert await server.agrees(version, "-cipher", "ALL:@SECLEVEL=0", "-groups", group) == "", group


async def test_no_compression_no_tickets_and_a_master_secret_of_this_handshake(server: Server) -> None:
    told = await server.ask("-tls1_2", "-comp")
    assert "Compression: NONE" in told
    assert "Secure Renegotiation IS supported" in told
    assert "Extended master secret: yes" in told
    assert "TLS session ticket:" not in told
    assert re.search(r"Session-ID: *\n", told), "nothing to resume by"


async def test_no_renegotiation(server: Server) -> None:
    told = await server.ask("-tls1_2", say=b"R\n")
    assert "RENEGOTIATING" in told
    assert "no renegotiation" in told or "unexpected message" in told, told[-500:]


async def test_no_early_data_and_no_key_of_before(server: Server) -> None:
    told = await server.ask("-tls1_3")
    assert "Early data was not sent" in told
    assert "Post-Handshake New Session Ticket" not in told


async def test_only_http_is_spoken(server: Server) -> None:
    for protocol, agreed in (("h2", "h2"), ("http/1.1", "http/1.1"), ("spdy/3.1", ""), ("h3", "")):
        told = await server.ask("-alpn", protocol)
        assert (f"ALPN protocol: {agreed}" if agreed else "No ALPN negotiated") in told


async def test_signatures_of_old_digests_are_not_made(server: Server) -> None:
    old = "ECDSA+SHA1" if server.key == "ECDSA" else "RSA+SHA1"
    assert await server.agrees("-tls1_2", "-sigalgs", old, "-cipher", "ALL:@SECLEVEL=0") == ""
