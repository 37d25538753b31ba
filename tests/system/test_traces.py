"""OpenTelemetry traces: one for each call of a device, through Envoy, decision and Mender, at no cost to any device."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from mtls_ambassador.envoy.process import Admin
from mtls_ambassador.sandbox.device import SimulatedDevice
from support.client import PATIENCE, ask, request, until
from support.collector import ENVOY, SERVICE, Collected, Collector
from support.enrolment import LOGIN, PREAUTHORIZE
from support.mender import World
from support.pki import Pki
from support.ports import free_port

AUTH = "/api/devices/v1/authentication/auth_requests"
IDENTITY = "de:ad:be:ef:00:01"
LOST = "traces are lost: the collector does not take them"
FORGED = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_one_enrolment_is_one_trace(tmp_path: Path) -> None:
    async with (
        Collector.running() as collector,
        World.running(tmp_path, environ={"MTLS_TRACES_URL": collector.url}) as world,
        SimulatedDevice(world.device(world.pair("device-name"), IDENTITY)) as device,
    ):
        await device.authorize()
        await until(lambda: bool(collector.of(ENVOY)) and bool(collector.of(SERVICE, "auth request")))
        (edge,), (decided,) = collector.of(ENVOY), collector.of(SERVICE, "auth request")
        assert {span.trace for span in collector.spans} == {edge.trace}
        assert (edge.parent, decided.parent) == ("", edge.id)
        calls = [span for span in collector.of(SERVICE) if span is not decided]
        assert [(span.name, span.parent, span.facts["http.response.status_code"]) for span in calls] == [
            (f"POST {LOGIN}", decided.id, 200),
            (f"POST {PREAUTHORIZE}", decided.id, 201),
            (f"POST {AUTH}", decided.id, 200),
        ]
        line = await world.gateway.event("device accepted")
        assert decided.facts == {
            "mender.request_id": line["request_id"],
            "mtls_ambassador.reason": "enrolled",
            "mtls_ambassador.verdict": "granted",
            "mtls_ambassador.known": False,
        }
        assert (edge.facts["mender.request_id"], edge.facts["url.path"]) == (line["request_id"], AUTH)
        assert continued(world, AUTH) == [(calls[2].trace, calls[2].id)], "Mender's own spans would join it"
        for secret in (IDENTITY, "device-name", line["serial"], "BEGIN", "password"):
            assert str(secret).encode() not in collector.raw


def continued(world: World, path: str) -> list[tuple[str, str]]:
    """The trace and span that calls of this path said they belong to."""
    headers = [entry.header("traceparent") or "---" for entry in world.sandbox.journal.find(path)]
    return [(text.split("-")[1], text.split("-")[2]) for text in headers]


ASKS = [
    f"traceparent: 00-{FORGED}-00f067aa0ba902b7-01",
    "tracestate: vendor=forged",
    "X-Request-Id: 9d7fe23c-2c4a-9a1b-8e2d-1f5a0b4c3d2e",
    "X-Client-Trace-Id: forged",
    "X-Envoy-Force-Trace: 1",
]
"""Every way there is to ask Envoy or a service for a trace."""


async def test_a_device_is_in_no_trace_of_its_own_choice_and_its_download_key_in_none(tmp_path: Path) -> None:
    target = "/api/devices/v1/download/configuration/1?x-men-signature=key-of-a-download"
    async with (
        Collector.running() as collector,
        World.running(tmp_path, environ={"MTLS_TRACES_URL": collector.url}) as world,
    ):
        await ask(world.gateway.port, world.pki.client_context(world.pki.device()), request(target, *ASKS))
        await until(lambda: bool(collector.of(ENVOY)))
        (span,) = collector.of(ENVOY)
        assert span.trace != FORGED
        assert span.parent == ""
        assert span.facts["url.path"] == target.partition("?")[0]
        assert b"key-of-a-download" not in collector.raw
        assert b"forged" not in collector.raw
        ((trace, _),) = continued(world, "/api/devices/v1/download/")
        assert trace == span.trace


@pytest.mark.parametrize(("percent", "traced"), [("100", True), ("0.0001", False)])
async def test_the_gateway_draws_whatever_a_device_asks_for(tmp_path: Path, percent: str, *, traced: bool) -> None:
    async with Collector.running() as collector:
        environ = {"MTLS_TRACES_URL": collector.url, "MTLS_TRACES_PERCENT": percent}
        async with World.running(tmp_path, environ=environ) as world:
            context = world.pki.client_context(world.pki.device())
            await ask(world.gateway.port, context, request("/api/devices/v1/x", *ASKS))
            await ask(world.gateway.port, context, request(AUTH, *ASKS, method="POST", body=b"{}"))
            world.gateway.signal()
            assert await world.gateway.exit_code() == 0
            (handed_on,) = world.sandbox.journal.find("/api/devices/v1/x")
            flags = (handed_on.header("traceparent") or "").rpartition("-")[2]
            assert flags == ("01" if traced else "00"), "Envoy's own choice"
        assert len(collector.of(SERVICE)) == int(traced), "what waits in the service is sent at the end"


@asynccontextmanager
async def silent(folder: Path) -> AsyncIterator[str]:
    """The URL of a server that takes connections and never says a word."""
    del folder
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in held:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def untrusted(folder: Path) -> AsyncIterator[str]:
    """The URL of a collector whose certificate is of a CA that this machine does not know; nothing may come to it."""
    files = Pki(folder).server
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files.certificate, files.key)
    async with Collector.running(tls=tls) as collector:
        yield f"https://127.0.0.1:{collector.port}"
    assert collector.posts == 0


@asynccontextmanager
async def nameless(folder: Path) -> AsyncIterator[str]:
    """A URL whose name does not resolve (RFC 6761 section 6.4)."""
    del folder
    yield "http://collector.invalid:4318"


async def refused_by_envoy(world: World) -> None:
    """Wait until Envoy has tried the collector and found its certificate bad."""
    envoy, count = Admin(world.gateway.runtime / "admin.sock"), "cluster.traces.ssl.fail_verify_error"
    async with asyncio.timeout(PATIENCE):
        while not (await envoy.counters([count])).get(count):  # noqa: ASYNC110 - Envoy sends no event
            await asyncio.sleep(0.05)
    metrics = (await ask_plain(world.gateway.admin_port, "/metrics")).decode()
    assert 'envoy_cluster_upstream_cx_connect_fail{envoy_cluster_name="traces"}' in metrics, "where operators see it"


async def ask_plain(port: int, path: str) -> bytes:
    """The body of an answer of the admin listener."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return await answer.read()


@pytest.mark.parametrize("collector", [silent, untrusted, nameless])
async def test_a_collector_of_no_use_delays_nothing(
    tmp_path: Path, collector: Callable[[Path], AbstractAsyncContextManager[str]]
) -> None:
    (other := tmp_path / "other").mkdir()
    async with collector(other) as url, World.running(tmp_path, environ={"MTLS_TRACES_URL": url}) as world:
        async with SimulatedDevice(world.device(world.pair(), IDENTITY)) as device:
            await device.authorize()
        await world.gateway.event(LOST)
        if collector is untrusted:
            await refused_by_envoy(world)
        world.gateway.signal()
        assert await world.gateway.exit_code() == 0


async def test_a_collector_that_is_away_costs_nothing_and_is_told_once(tmp_path: Path) -> None:
    port = free_port()
    async with World.running(tmp_path, environ={"MTLS_TRACES_URL": f"http://127.0.0.1:{port}"}) as world:

        async def enrol(name: str) -> None:
            async with SimulatedDevice(world.device(world.pair(name), name)) as device:
                await device.authorize()

        await enrol("one")
        lost = await world.gateway.event(LOST)
        assert lost["collector"] == f"http://127.0.0.1:{port}"
        await enrol("two")
        async with Collector.running(port) as collector:

            async def is_back() -> Collected:
                await enrol("three")
                await until(lambda: bool(collector.of(SERVICE, "auth request")))
                return collector.of(SERVICE, "auth request")[-1]

            assert (await is_back()).facts["mtls_ambassador.verdict"] == "granted"
            await world.gateway.event("the collector takes traces again")
        assert len(world.gateway.events(LOST)) == 1
        assert not [line for line in world.gateway.lines if "opentelemetry" in line.lower() or "urllib3" in line]
