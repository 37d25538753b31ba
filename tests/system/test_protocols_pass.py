"""Every method, HTTP/1.0, 1.1 and 2, chunked bodies, Range and WebSockets pass the gateway as they are."""

import asyncio
import subprocess
from pathlib import Path

import aiohttp
import pytest

from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.upstream import BLOCK, Upstream

PATH = "/api/devices/v1/things"


async def test_methods_versions_and_bodies(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            for version in ("1.0", "1.1"):
                call = request(f"{PATH}?a=b%20c&d", method=method, body=b"[1]", version=version)
                answer = await ask(gateway.port, context, call)
                assert (answer.status, answer.json["bytes"]) == (200, 3)
                assert answer.headers["server"] == "upstream"
                assert "x-envoy-upstream-service-time" not in answer.headers
                assert (upstream.requests[-1].method, upstream.requests[-1].target) == (method, f"{PATH}?a=b%20c&d")
        chunked = request(PATH, "Transfer-Encoding: chunked", method="PUT") + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        assert (await ask(gateway.port, context, chunked)).json["bytes"] == 3
        ranged = await ask(gateway.port, context, request("/api/devices/v1/blob?bytes=1000", "Range: bytes=900-"))
        assert (ranged.status, ranged.body) == (206, BLOCK[900 % 256 :][:100])
        assert ranged.headers["content-range"] == "bytes 900-999/1000"


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_curl_speaks_each_version(tmp_path: Path, version: str) -> None:
    pki = Pki(tmp_path)
    device = pki.device()
    curl = ["curl", "-sS", f"--http{version}", "--cacert", str(pki.ca_file), "--cert", str(device.certificate)]
    curl += ["--key", str(device.key), "-T", str(pki.ca_file), "-w", "%{http_version} %{http_code}", "-o", "/dev/null"]
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        done = await _run([*curl, f"{gateway.url}{PATH}"])
        assert done == f"{version} 200"
        assert upstream.requests[0].size == len(pki.ca_file.read_bytes())


async def test_websocket_echoes(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"{gateway.url}/api/devices/v1/deviceconnect/ws", ssl=context, protocols=["protomsg/msgpack"]
        ) as socket,
    ):
        assert socket.protocol == "protomsg/msgpack"
        for size in (0, 1, 70_000, 3_000_000):
            await socket.send_bytes(bytes(size))
            assert await socket.receive_bytes() == bytes(size)
        assert upstream.requests[0].values("upgrade") == ["websocket"]


async def test_the_decision_service_is_never_upgraded_to(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        call = request("/api/devices/v1/authentication/auth_requests", "Upgrade: websocket")
        answer = await ask(gateway.port, context, call.replace(b"Connection: close", b"Connection: Upgrade"))
        assert answer.status == 403


async def _run(argv: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()
