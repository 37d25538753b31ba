"""A simulated device against a TLS server that demands a certificate, on a free loopback port."""

import datetime as dt
import hashlib
import json
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

import pytest
from aiohttp import web

from mtls_ambassador.pki.issue import KeyKind, Pair, Validity, make_ca, make_device, make_key, make_server
from mtls_ambassador.sandbox.device import ClientStyle, DeviceConfig, DeviceError, Failure, SimulatedDevice, Step

VALID = Validity.days(dt.datetime.now(dt.UTC), 2)
CA = make_ca("CA", VALID)
BLOB = bytes(range(256)) * 4096


@dataclass
class Server:
    """Answers as Mender does; remembers what came."""

    url: str = ""
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    peers: list[tuple[str, int]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=lambda: ["t1", "t2", "t3"])
    good: str = "t1"
    put_allowed: bool = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((request.method, request.path_qs, body))
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername")[:2])
        if request.path.endswith("/auth_requests"):
            return web.Response(text=self.tokens.pop(0), content_type="application/jwt")
        if request.headers.get("Authorization") != f"Bearer {self.good}":
            return web.Response(status=401)
        return await self.authorized(request)

    async def authorized(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/attributes"):
            return web.Response(status=200 if self.put_allowed or request.method == "PATCH" else 405)
        if request.path == "/api/devices/v1/deployments/device/deployments/next" and request.method == "GET":
            artifact = {"artifact_name": "r2", "source": {"uri": "/blob"}, "device_types_compatible": ["simulated"]}
            return web.json_response({"id": "d1", "artifact": artifact})
        if request.path.endswith("/status"):
            return web.json_response({"error": "aborted"}, status=409, headers={"Retry-After": "7"})
        if request.path == "/blob":
            part = request.http_range
            return web.Response(status=206 if "Range" in request.headers else 200, body=BLOB[part.start : part.stop])
        if request.path.endswith("/connect"):
            ws = web.WebSocketResponse(protocols=["protomsg/msgpack"])
            await ws.prepare(request)
            await ws.send_bytes(b"hello")
            await ws.close()
            return ws
        return web.json_response({"error": "not found"}, status=404)


def server_context(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=CA.certificate_pem.decode())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pair.pem")
        path.write_bytes(pair.key_pem + pair.certificate_pem)
        context.load_cert_chain(path)
    return context


@asynccontextmanager
async def serving(pair: Pair | None = None) -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(
        runner, "127.0.0.1", 0, ssl_context=server_context(pair or make_server(CA, ["127.0.0.1"], VALID))
    )
    await site.start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def config(server: Server, **changes: object) -> DeviceConfig:
    pair = make_device(CA, "device", VALID)
    base = DeviceConfig(url=server.url, identity={"mac": "02:00"}, ca_pem=CA.certificate_pem, pair=pair)
    return replace(base, **changes)  # type: ignore[arg-type]  # test shorthand


@pytest.mark.parametrize("kind", KeyKind)
async def test_every_key_kind_presents_its_certificate(kind: KeyKind) -> None:
    async with serving() as server:
        pair = make_device(CA, "device", VALID, key=make_key(kind))
        async with SimulatedDevice(config(server, pair=pair)) as device:
            assert await device.authorize() == "t1"


async def test_the_go_client_keeps_its_connection_and_the_cpp_client_does_not() -> None:
    for style, connections in ((ClientStyle.GO, 1), (ClientStyle.CPP, 3)):
        async with serving() as server, SimulatedDevice(config(server, style=style)) as device:
            await device.authorize()
            await device.send_inventory()
            await device.send_inventory({"list": ["a", "b"]})
            assert len(set(server.peers)) == connections
            assert json.loads(server.seen[-1][2]) == [{"name": "list", "value": ["a", "b"]}]


async def test_a_401_causes_one_new_auth_request_and_one_retry() -> None:
    async with serving() as server, SimulatedDevice(config(server)) as device:
        await device.authorize()
        server.good = "t2"
        await device.send_inventory()
        assert [path.rpartition("/")[2] for _, path, _ in server.seen] == [
            "auth_requests",
            "attributes",
            "auth_requests",
            "attributes",
        ]


async def test_a_401_is_the_answer_when_told_not_to_authorize_again() -> None:
    async with serving() as server, SimulatedDevice(config(server, reauthorize=False)) as device:
        with pytest.raises(DeviceError) as caught:
            await device.send_inventory()
        assert (caught.value.step, caught.value.status) == (Step.INVENTORY, 401)


async def test_the_go_client_patches_where_put_is_not_allowed() -> None:
    async with serving() as server, SimulatedDevice(config(server)) as device:
        await device.authorize()
        server.put_allowed = False
        await device.send_inventory()
        assert [method for method, _, _ in server.seen[1:]] == ["PUT", "PATCH"]


async def test_a_deployment_is_found_by_the_oldest_call_and_its_artifact_resumed() -> None:
    async with serving() as server, SimulatedDevice(config(server)) as device:
        await device.authorize()
        deployment = await device.poll_deployment()
        assert deployment is not None
        assert (deployment.id, deployment.artifact_name) == ("d1", "r2")
        whole = await device.download(deployment.uri)
        assert (whole.size, whole.sha256) == (len(BLOB), hashlib.sha256(BLOB).hexdigest())
        rest: list[bytes] = []
        assert (await device.download(deployment.uri, start=1000, sink=rest.append)).status == 206
        assert b"".join(rest) == BLOB[1000:]


async def test_an_error_carries_menders_text_and_retry_after() -> None:
    async with serving() as server, SimulatedDevice(config(server)) as device:
        await device.authorize()
        with pytest.raises(DeviceError, match="status: HTTP 409 aborted") as caught:
            await device.report_status("d1", "installing")
        assert caught.value.retry_after == "7"


async def test_the_websocket_of_mender_connect() -> None:
    async with serving() as server, SimulatedDevice(config(server)) as device:
        await device.authorize()
        async with device.open_websocket() as ws:
            assert ws.protocol == "protomsg/msgpack"
            assert await ws.receive_bytes() == b"hello"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_alert_of_the_server_is_named(version: ssl.TLSVersion) -> None:
    for pair, alert in ((None, "alert "), (make_device(make_ca("other", VALID), "d", VALID), "alert unknown_ca")):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            stranger = DeviceConfig(
                url=url,
                identity={},
                ca_pem=CA.certificate_pem,
                pair=pair,
                auth_key=make_key(),
                tls_minimum=version,
                tls_maximum=version,
            )
            thread = Thread(target=refuse_all, args=[listener])
            thread.start()
            async with SimulatedDevice(stranger) as device:
                with pytest.raises(DeviceError, match=f"enrol: {alert}") as caught:
                    await device.authorize()
                assert caught.value.failure is Failure.TLS
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def refuse_all(listener: socket.socket) -> None:
    """Blocking, because asyncio's server closes without sending its alert."""
    context = server_context(make_server(CA, ["127.0.0.1"], VALID))
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(ssl.SSLError):
                context.wrap_socket(connection, server_side=True).close()


async def test_no_certificate_is_refused_before_any_request() -> None:
    async with serving() as server, SimulatedDevice(config(server, pair=None, auth_key=make_key())) as device:
        with pytest.raises(DeviceError) as caught:
            await device.authorize()
        assert caught.value.handshake_refused
        assert server.seen == []


async def test_a_server_of_another_ca_is_named_as_the_reason() -> None:
    other = make_ca("other", VALID)
    async with serving() as server, SimulatedDevice(config(server, ca_pem=other.certificate_pem)) as device:
        with pytest.raises(DeviceError, match="server certificate: ") as caught:
            await device.authorize()
        assert caught.value.failure is Failure.TLS


async def test_a_server_name_may_differ_from_the_address_dialled() -> None:
    async with serving(make_server(CA, ["gateway.example"], VALID)) as server:
        async with SimulatedDevice(config(server)) as device:
            with pytest.raises(DeviceError, match="server certificate: IP address mismatch"):
                await device.authorize()
        async with SimulatedDevice(config(server, server_hostname="gateway.example")) as device:
            await device.authorize()
        async with SimulatedDevice(config(server, check_hostname=False)) as device:
            await device.authorize()


async def test_nobody_listening_is_connection_refused() -> None:
    async with serving() as server:
        gone = config(server)
    async with SimulatedDevice(gone) as device:
        with pytest.raises(DeviceError) as caught:
            await device.authorize()
    assert (caught.value.failure, caught.value.reason) == (Failure.UNREACHABLE, "connection refused")


async def test_a_device_without_any_key_says_so() -> None:
    device = SimulatedDevice(DeviceConfig(url="https://127.0.0.1:1", identity={}))
    with pytest.raises(ValueError, match="auth_key"):
        await device.authorize()
