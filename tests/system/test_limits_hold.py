"""The limits of the edge: old TLS, large headers, too many connections and silent clients are refused."""

import asyncio
import ssl
import warnings
from pathlib import Path

import pytest

from mtls_ambassador.envoy.process import Admin
from support.client import PATIENCE, ask, request, talk
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.upstream import Upstream

STATUS = request("/status")


@pytest.mark.parametrize(
    ("version", "minimum", "good"),
    [("TLSv1_1", "1.2", False), ("TLSv1_2", "1.2", True), ("TLSv1_2", "1.3", False), ("TLSv1_3", "1.3", True)],
)
async def test_tls_versions(tmp_path: Path, version: str, minimum: str, *, good: bool) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    environ = {"MTLS_HTTPS_TLS_VERSION_MIN": minimum}
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB, environ=environ) as gateway:
        if good:
            assert (await ask(gateway.port, context, STATUS)).status == 200
            return
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(gateway.port, context, STATUS)
        assert "no TLS version allowed here" in (await gateway.event("handshake refused"))["cause"]


async def test_headers_too_large(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        large = request("/api/devices/v1/x", "X-Large: " + "x" * 40_000)
        answer = await ask(gateway.port, context, large)
        assert (answer.status, answer.json["error"]) == (431, "request header fields too large")
        many = request("/api/devices/v1/x", *(f"X-{number}: x" for number in range(200)))
        assert (await ask(gateway.port, context, many)).status == 431
        assert upstream.requests == []


async def test_connections_are_counted(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    environ = {"MTLS_MAX_CONNECTIONS": "5"}
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB, environ=environ) as gateway:
        held = [
            await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context, server_hostname="localhost")
            for _ in range(5)
        ]
        with pytest.raises((OSError, EOFError)):
            await ask(gateway.port, context, STATUS)
        assert await Admin(gateway.runtime / "admin.sock").is_ready(), "the supervisor must get through all the same"
        for _, writer in held:
            writer.transport.abort()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    assert (await ask(gateway.port, context, STATUS)).status == 200
                except (OSError, EOFError):
                    await asyncio.sleep(0.05)
                    continue
                break


async def test_a_silent_client_is_let_go(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    environ = {"MTLS_HANDSHAKE_TIMEOUT": "1", "MTLS_HEADER_TIMEOUT": "1", "MTLS_IDLE_TIMEOUT": "1"}
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB, environ=environ) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        writer.transport.abort()
        assert b" 408 " in await talk(gateway.port, context, STATUS[:-2])
        assert await talk(gateway.port, context, b"") == b""


async def test_fewer_connections_than_set_is_said(tmp_path: Path) -> None:
    environ = {"MTLS_MAX_CONNECTIONS": "9999999"}
    async with Gateway.running(Pki(tmp_path), "http://127.0.0.1:9", command=STUB, environ=environ) as gateway:
        line = await gateway.event("fewer device connections than set: the open-file limit is too low")
        assert 0 < line["accepted"] < 9_999_999
