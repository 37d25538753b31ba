"""Prometheus is told what happened: of the gateway, the service, the Mender server, and by Mender Gateway's names."""

import asyncio
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from mtls_ambassador.sandbox.device import SimulatedDevice
from support.client import ask, request
from support.mender import World
from unit.deploy.test_monitoring import REAL

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
MAC = "52:54:00:12:34:56"


class Told(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """By name and labels."""

    def of(self, name: str, **labels: str) -> float:
        """The sum of all with these labels; 0 for none."""
        return sum(
            value for (found, has), value in self.items() if found == name and labels.items() <= dict(has).items()
        )


async def scrape(world: World) -> tuple[str, Told]:
    url = f"http://127.0.0.1:{world.gateway.admin_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    found = {(name, frozenset(LABEL.findall(labels))): float(value) for name, labels, value in SAMPLE.findall(text)}
    return text, Told(found)


async def eventually(world: World, name: str, wanted: float, **labels: str) -> Told:
    """Envoy tells its counters a moment later, and Prometheus' format has them when they are more than nothing."""
    async with asyncio.timeout(20):
        while True:
            _, told = await scrape(world)
            if told.of(name, **labels) == wanted:
                return told
            await asyncio.sleep(0.1)


async def test_an_enrolment_is_in_the_metrics(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        _, before = await scrape(world)
        assert before.of("mtls_ambassador_login", state="none") == 1
        assert before.of("mtls_ambassador_devices") == 0
        pair = world.pair()
        async with SimulatedDevice(world.device(pair, MAC)) as device:
            await device.authorize()
            await device.send_inventory()
        await eventually(world, "mtls_ambassador_devices", 1, standing="accepted")
        text, told = await scrape(world)
        assert told.of("mtls_ambassador_ready") == 1
        assert told.of("mtls_ambassador_auth_requests_total") == 1
        for call in ("login", "preauthorize", "auth-request"):
            assert told.of("mtls_ambassador_upstream_seconds_count", call=call, outcome="2xx") == 1, call
        assert told.of("mtls_ambassador_upstream_seconds_count", call="other") == 0
        assert told.of("mtls_ambassador_login", state="held") == 1
        assert told.of("mtls_ambassador_login") == 1, "one state at a time"
        assert told.of("mtls_ambassador_auth_requests_in_progress") == 0
        assert told.of("mtls_ambassador_store_commit_seconds_count") > 0
        assert told.of("mtls_ambassador_store_bytes") > 0
        assert told.of("mtls_ambassador_certificate_expires_timestamp_seconds", certificate="CA of devices") > 1e9
        assert told.of("mtls_ambassador_fleet_known") == 1
        await eventually(world, "envoy_cluster_upstream_rq_time_count", 1, envoy_cluster_name="upstream")
        text, _ = await scrape(world)
        assert {name for name in REAL if name not in text} == set()
        for secret in (MAC, "password", "CN=device"):
            assert secret not in text


async def test_calls_are_counted_by_the_names_of_mender_gateway(tmp_path: Path) -> None:
    requests, sent = "mender_gateway_http_requests_total", "mender_gateway_http_response_bytes_total"
    async with World.running(tmp_path) as world:
        context = world.pki.client_context(world.pki.device())

        async def call(raw: bytes) -> Any:  # noqa: ANN401 - an answer of the test's client
            return await ask(world.gateway.port, context, raw)

        status = await call(request("/status"))
        for _ in range(2):
            await call(request("/nothing-here"))
        await call(request("/api/devices/v1/inventory/device/attributes"))
        await call(request("/status").replace(b"GET", b"PROPFIND"))
        ok = {"method": "GET", "code": "200", "route": "status"}
        told = await eventually(world, requests, 1, **ok)
        assert told.of(sent, **ok) == len(status.body)
        assert told.of(requests, method="GET", code="404", route="nowhere") == 2
        assert told.of(requests, method="GET", code="401", route="devices") == 1
        assert told.of(requests, method="OTHER") == 1
        assert told.of(requests) == 5


async def test_a_connection_counts_once_its_handshake_was_good(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        good = world.pki.client_context(world.pki.device())
        for _ in range(3):
            with suppress(ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
                await ask(world.gateway.port, world.pki.client_context(None), request("/status"))
            _, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
            writer.close()
        for _ in range(2):
            assert (await ask(world.gateway.port, good, request("/status"))).status == 200
        told = await eventually(world, "mtls_ambassador_device_connections_total", 2)
        assert told.of("mtls_ambassador_handshakes_refused_total", cause="no-certificate") == 3
        assert told.of("mtls_ambassador_handshakes_refused_total", cause="hung-up") == 3
