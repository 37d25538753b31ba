import asyncio
import datetime as dt
import socket
import ssl

import aiohttp
import pytest

from mtls_ambassador.pki.issue import KeyKind, Validity, make_ca, make_server
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer

VALIDITY = Validity.days(dt.datetime.now(dt.UTC), 2)


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.RSA, KeyKind.ED25519])
async def test_it_serves_tls(kind: KeyKind) -> None:
    root = make_ca("root", VALIDITY)
    issuer = make_ca("issuer", VALIDITY, issuer=root)
    config = SandboxConfig(
        tls=make_server(issuer, ["127.0.0.1"], VALIDITY, kind=kind), chain_pem=issuer.certificate_pem
    )
    trust = ssl.create_default_context(cadata=root.certificate_pem.decode())
    async with SandboxServer.running(config) as sandbox, aiohttp.ClientSession() as session:
        assert sandbox.url.startswith("https://127.0.0.1:")
        async with session.get(sandbox.url, ssl=trust) as response:
            assert response.status == 200


async def test_the_folder_is_gone_afterwards() -> None:
    async with SandboxServer.running() as sandbox:
        folder = sandbox.state.folder
        assert folder.is_dir()
    assert not folder.exists()


async def test_a_taken_address_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            async with SandboxServer.running(SandboxConfig(port=taken.getsockname()[1])):
                pass


async def test_ipv6() -> None:
    async with SandboxServer.running(SandboxConfig(host="::1")) as sandbox, aiohttp.ClientSession() as session:
        assert sandbox.url.startswith("http://[::1]:")
        async with session.get(sandbox.url) as response:
            assert response.status == 200


@pytest.mark.parametrize("tls", [False, True])
async def test_an_outage_refuses_ends_and_forgets_nothing(tls: bool) -> None:  # noqa: FBT001 - a case
    config = SandboxConfig(tls=make_server(make_ca("ca", VALIDITY), ["127.0.0.1"], VALIDITY) if tls else None)
    connector = aiohttp.TCPConnector(ssl=False)
    async with SandboxServer.running(config) as sandbox, aiohttp.ClientSession(connector=connector) as session:
        sandbox.faults.latency(3600, "/api/slow", count=1)
        slow = asyncio.ensure_future(session.post(sandbox.url + "/api/slow"))
        while sandbox.faults.active:
            await session.get(sandbox.url)
        url = sandbox.url
        async with sandbox.outage():
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await slow
            for _ in range(2):
                with pytest.raises(aiohttp.ClientConnectorError):
                    await session.get(url)
        async with session.get(url) as response:
            assert (response.status, sandbox.url) == (200, url)


async def test_outside_the_api_there_is_nothing() -> None:
    async with SandboxServer.running() as sandbox, aiohttp.ClientSession(sandbox.url) as session:
        for path, status in [("/api/internal/v1/x", 404), ("/nix", 404), ("/api/management/v1/x", 401)]:
            async with session.get(path, headers={"X-MEN-RequestID": "mine"}) as response:
                assert (response.status, response.headers["X-MEN-RequestID"]) == (status, "mine")
                assert set(await response.json()) == {"error", "request_id"}


def test_the_password_shows_nowhere() -> None:
    assert "hush" not in repr(SandboxConfig(password="hush"))
