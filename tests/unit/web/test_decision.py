"""What a device is answered, and what of its request and of Mender's answer goes on."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from mtls_ambassador.pki.issue import Pair
from mtls_ambassador.sandbox.device_wire import AuthRequest, make_auth_request
from mtls_ambassador.sandbox.faults import Fault
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from mtls_ambassador.web.decision import RETRY_AFTER, make_app
from mtls_ambassador.web.metrics import Metrics
from mtls_ambassador.web.service import serving
from support.client import Answer, parse
from support.enrolment import Bench


@dataclass
class Desk:
    """The decision endpoint as Envoy sees it, before a real sandbox."""

    bench: Bench
    port: int
    metrics: Metrics
    pair: Pair

    def request(self, mac: str = "a") -> AuthRequest:
        return make_auth_request({"mac": mac}, self.pair.key)

    async def ask(self, request: AuthRequest | None = None, **headers: str) -> Answer:
        request = request or self.request()
        own = {
            "X-MEN-Signature": request.signature,
            "Content-Type": "application/json",
            "x-mtls-peer-certificate": quote(self.pair.certificate_pem),
            "X-MEN-RequestID": "request-7",
            "X-Forwarded-For": "192.0.2.9",
        }
        given = own | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.call("POST", AUTH_REQUESTS, request.body, given)

    async def call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        given = {"Host": "gateway", "Connection": "close", "Content-Length": str(len(body)), **(headers or {})}
        head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join(head).encode("latin1") + body)
        answer = parse(await reader.read())
        writer.close()
        await writer.wait_closed()
        return answer


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    metrics = Metrics()
    async with Bench.running(tmp_path) as bench, serving(make_app(bench.enrol, metrics)) as runner:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Desk(bench, int(runner.addresses[0][1]), metrics, bench.device())


async def test_an_accepted_device_gets_menders_answer(desk: Desk) -> None:
    answer = await desk.ask()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/jwt"
    assert answer.body.count(b".") == 2
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["x-men-requestid"] == "request-7"


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"body": b"{}"}, 400, "invalid auth request: id_data: a string is required"),
        ({"body": b" " * 65_537}, 413, "invalid auth request: the auth request is larger than 64 KiB"),
        ({"body": b" " * 3_000_000}, 413, "invalid auth request: the auth request is larger than 64 KiB"),
        ({"signature": ""}, 400, "missing request signature header"),
        ({"signature": "AAAA"}, 401, "signature verification failed"),
    ],
)
async def test_what_mender_would_say_of_a_bad_request(
    desk: Desk, change: dict[str, object], status: int, text: str
) -> None:
    values = {"body": desk.request().body, "signature": desk.request().signature} | change
    answer = await desk.ask(AuthRequest(**values))  # type: ignore[arg-type]  # a table
    assert (answer.status, answer.json) == (status, {"error": text, "request_id": "request-7"})
    assert answer.headers["content-type"].startswith("application/json")
    assert "retry-after" not in answer.headers
    assert desk.bench.calls() == 0


async def test_a_refused_device_learns_the_code_to_look_up_and_nothing_of_others(desk: Desk) -> None:
    await desk.ask()
    desk.pair = desk.bench.device("other")
    answer = await desk.ask()
    assert (answer.status, answer.json["error"]) == (401, "dev auth: unauthorized (identity-taken)")
    answer = await desk.ask(x_mtls_peer_certificate="")
    assert (answer.status, answer.json["error"]) == (401, "dev auth: unauthorized (certificate-unreadable)")


async def test_told_to_come_again_at_times_that_differ(desk: Desk) -> None:
    desk.bench.sandbox.faults.error(500)
    waits = set()
    for number in range(15):
        answer = await desk.ask(desk.request(str(number)))
        assert (answer.status, answer.json["error"]) == (503, "service unavailable (upstream-failed)")
        waits.add(int(answer.headers["retry-after"]))
    assert RETRY_AFTER[0] <= min(waits) < max(waits) <= RETRY_AFTER[1]


@pytest.mark.parametrize(("asked", "passed_on"), [("77", "77"), ("999999999", "3600")])
async def test_upstreams_own_wait_is_passed_on_within_reason(desk: Desk, asked: str, passed_on: str) -> None:
    desk.bench.sandbox.faults.error(429, retry_after=asked)
    answer = await desk.ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, passed_on)


async def test_menders_no_of_another_kind_keeps_its_status(desk: Desk) -> None:
    desk.bench.sandbox.faults.error(403, AUTH_REQUESTS)
    answer = await desk.ask()
    assert (answer.status, answer.json["error"]) == (403, "dev auth: unauthorized (refused-upstream)")


async def test_only_what_is_the_devices_own_goes_upstream(desk: Desk) -> None:
    await desk.ask(
        Authorization="Bearer tenant",
        User_Agent="Mender/5.1.0",
        X_Mtls_Other="x",
        X_Envoy_Attempt_Count="1",
        TE="trailers",
        Keep_Alive="5",
        Proxy_Authorization="Basic eDp5",
        Expect="100-continue",
        X_Own="kept",
    )
    (entry,) = desk.bench.sandbox.journal.find(AUTH_REQUESTS)
    names = {name.lower() for name, _ in entry.headers}
    assert not names & {"te", "keep-alive", "proxy-authorization", "expect", "connection"}
    assert not any(name.startswith(("x-mtls-", "x-envoy-")) for name in names)
    sent = {"Authorization": "Bearer tenant", "User-Agent": "Mender/5.1.0", "X-Own": "kept"}
    assert {name: entry.header(name) for name in sent} == sent
    assert entry.header("Host") == desk.bench.sandbox.url.removeprefix("http://")
    assert names & {"user-agent", "accept", "accept-encoding"} == {"user-agent"}
    for call in desk.bench.sandbox.journal.find("/api/management/"):
        assert call.header("Authorization") != "Bearer tenant"
        assert call.header("X-Own") is None


async def test_a_header_that_is_no_text_harms_nobody(desk: Desk) -> None:
    answer = await desk.ask(X_Odd="\xff\xe4", X_MEN_RequestID="\xff", X_Forwarded_For="\xff")
    assert answer.status == 200
    (entry,) = await desk.bench.audit()
    assert (entry.reason, entry.request_id, entry.address) == ("enrolled", "\ufffd", "\ufffd")


async def test_headers_as_long_as_envoy_lets_through(desk: Desk) -> None:
    assert (await desk.ask(X_Mtls_Long="x" * 60_000)).status == 200


async def test_a_compressed_body_is_taken_as_it_is(desk: Desk) -> None:
    """The signature covers the bytes on the wire, and Mender unpacks nothing."""
    packed = gzip.compress(desk.request().body)
    answer = await desk.ask(AuthRequest(packed, desk.request().signature), Content_Encoding="gzip")
    assert answer.status == 400
    assert desk.bench.calls() == 0


async def test_a_body_in_chunks_is_one_body(desk: Desk) -> None:
    request = desk.request()
    half = len(request.body) // 2
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (request.body[:half], request.body[half:]))
    headers = {
        "X-MEN-Signature": request.signature,
        "Content-Type": "application/json",
        "x-mtls-peer-certificate": quote(desk.pair.certificate_pem),
        "Transfer-Encoding": "chunked",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    start = f"POST {AUTH_REQUESTS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n"
    writer.write(start.encode() + chunked + b"0\r\n\r\n")
    assert parse(await reader.read()).status == 200
    writer.close()
    await writer.wait_closed()
    (entry,) = desk.bench.sandbox.journal.find(AUTH_REQUESTS)
    assert (entry.body, entry.header("Content-Length")) == (request.body, str(len(request.body)))


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", AUTH_REQUESTS, 405, "method not allowed"),
        ("PUT", AUTH_REQUESTS, 405, "method not allowed"),
        ("DELETE", AUTH_REQUESTS, 405, "method not allowed"),
        ("POST", AUTH_REQUESTS + "/", 404, "not found"),
        ("POST", AUTH_REQUESTS.upper(), 404, "not found"),
        ("POST", AUTH_REQUESTS.replace("v1", "v2"), 404, "not found"),
        ("POST", "/", 404, "not found"),
        ("GET", "/api/management/v2/devauth/devices", 404, "not found"),
    ],
)
async def test_nothing_but_the_one_call(desk: Desk, method: str, path: str, status: int, text: str) -> None:
    answer = await desk.call(method, path, b"", {"X-MEN-RequestID": "r"})
    assert (answer.status, answer.json) == (status, {"error": text, "request_id": "r"})
    assert desk.bench.calls() == 0


async def test_answers_of_mender_keep_their_headers_but_those_of_the_connection(desk: Desk) -> None:
    desk.bench.sandbox.faults.add(Fault(path="/nothing"))
    answer = await desk.ask()
    assert "transfer-encoding" not in answer.headers
    assert answer.headers["connection"] == "close"


async def test_every_decision_is_counted_by_its_reason(desk: Desk) -> None:
    await desk.ask()
    await desk.ask()
    await desk.ask(AuthRequest(b"{}", "x"))
    counted = {
        sample.labels["reason"]: sample.value
        for metric in desk.metrics.decisions.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.value
    }
    assert counted == {"enrolled": 1, "known": 1, "malformed": 1}


async def test_an_error_is_json_whatever_the_device_called_itself(desk: Desk) -> None:
    answer = await desk.ask(AuthRequest(b"{}", "x"), X_MEN_RequestID='"}</script>')
    assert json.loads(answer.body)["request_id"] == '"}</script>'
