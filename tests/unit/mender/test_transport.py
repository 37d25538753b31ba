"""What goes wrong between gateway and Mender, and what a server says that is no Mender: each with its reason."""

from pathlib import Path

import pytest
from aiohttp import web

from mtls_ambassador.mender.client import MenderClient, Preauthorized
from mtls_ambassador.model.auth_request import AuthKey
from mtls_ambassador.model.device import AuthSetStatus
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.issue import make_ca, make_key, make_server, public_key_pem
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.settings import Limits
from support.enrolment import PASSWORD, USER, identity_of
from support.mender_client import connected, refusal, stranger
from support.pki import validity
from support.ports import free_port

DEVICES = "/api/management/v2/devauth/devices"
KEY = AuthKey(public_key_pem(make_key()), "sha")
SHORT = Limits(upstream_timeout=0.5, upstream_connect_timeout=0.5)


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("Mon, 23 Nov 2026 10:01:00 GMT", 60),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 10:01:00 -0000", None),
        ("Mon, 99 Nov 2026 10:01:00 GMT", None),
    ],
)
async def test_asked_to_wait_until_a_time_by_upstreams_own_clock(until: str, seconds: float | None) -> None:
    async def throttled(request: web.Request) -> web.Response:
        del request
        return web.Response(status=503, headers={"Retry-After": until, "Date": "Mon, 23 Nov 2026 10:00:00 GMT"})

    async with stranger(throttled) as url, connected(url) as client:
        assert (await refusal(client.device_limit())).retry_after == seconds


async def test_redirects_are_not_followed_with_our_credentials() -> None:
    paths: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with stranger(redirect) as url, connected(url) as client:
        assert (await refusal(client.device_limit())).reason is Reason.UPSTREAM_FAILED
        assert (await client.forward_auth_request(b"{}", {})).status == 307
    assert "/elsewhere" not in paths


ODD = [b"", b"[]", b"{}", b"null", b'"x"', b"<html>", b'{"limit":"many","count":null}', b"[5]", b"\xff"]


@pytest.mark.parametrize("body", ODD)
async def test_answers_of_another_shape_are_a_failure_of_upstream(body: bytes) -> None:
    status = 200

    async def odd(request: web.Request) -> web.Response:
        del request
        return web.Response(status=status, body=body)

    async with stranger(odd) as url, connected(url) as client:
        calls = [
            client.device_limit(),
            client.count_devices(AuthSetStatus.ACCEPTED),
            client.get_device("x"),
        ]
        for call in calls:
            assert (await refusal(call)).reason is Reason.UPSTREAM_FAILED
        status = 409
        assert (await refusal(client.preauthorize(identity_of("a"), KEY))).reason is Reason.UPSTREAM_FAILED
        status = 418
        for other in [client.search_devices([]), anext(aiter(client.devices())), client.decommission("x")]:
            assert (await refusal(other)).reason is Reason.UPSTREAM_FAILED


@pytest.mark.parametrize("body", [b"", b"two words", b"<html>\r\n</html>", "tökén".encode(), b"a\0b"])
async def test_a_login_answered_with_something_else_than_a_token(body: bytes) -> None:
    async with stranger(no_answer, body) as url, connected(url) as client:
        assert (await refusal(client.device_limit())).reason is Reason.UPSTREAM_FAILED


async def no_answer(request: web.Request) -> web.Response:
    raise AssertionError(request.path)


async def test_an_answer_without_end_is_cut() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 2**20)

    async with stranger(endless) as url, connected(url) as client:
        error = await refusal(client.device_limit())
    assert (error.reason, "more than" in error.detail) == (Reason.UPSTREAM_FAILED, True)


async def test_nobody_listens() -> None:
    async with connected(f"http://127.0.0.1:{free_port()}") as client:
        assert (await refusal(client.device_limit())).reason is Reason.UPSTREAM_UNREACHABLE


async def test_a_name_that_does_not_resolve() -> None:
    async with connected("http://no-such-host.invalid:80", limits=SHORT) as client:
        assert (await refusal(client.device_limit())).reason in {Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_SLOW}


async def test_slow(sandbox: SandboxServer) -> None:
    async with connected(sandbox.url, limits=SHORT) as client:
        sandbox.faults.latency(3)
        assert (await refusal(client.get_device("x"))).reason is Reason.UPSTREAM_SLOW


async def test_reset(sandbox: SandboxServer, client: MenderClient) -> None:
    await client.device_limit()
    sandbox.faults.drop(DEVICES)
    assert (await refusal(client.get_device("x"))).reason is Reason.UPSTREAM_UNREACHABLE
    sandbox.faults.clear()
    assert await client.get_device("x") is None


async def test_upstreams_certificate(tmp_path: Path) -> None:
    ca, other = make_ca("CA", validity()), make_ca("CA", validity())
    (tmp_path / "ca.pem").write_bytes(ca.certificate_pem)
    (tmp_path / "other.pem").write_bytes(other.certificate_pem)
    (tmp_path / "empty.pem").touch()
    config = SandboxConfig(user=USER, password=PASSWORD, tls=make_server(ca, ["localhost"], validity()))
    async with SandboxServer.running(config) as sandbox:
        good = f"https://localhost:{sandbox.port}"
        for url, ca_file in ((good, "other.pem"), (good, None), (sandbox.url, "ca.pem")):
            async with connected(url, upstream_ca=tmp_path / ca_file if ca_file else None) as client:
                error = await refusal(client.device_limit())
                assert (error.reason, bool(error.detail)) == (Reason.UPSTREAM_UNTRUSTED, True)
        assert sandbox.journal.total == 0
        async with connected(good, upstream_ca=tmp_path / "ca.pem") as client:
            assert await client.device_limit() == -1
        async with connected(sandbox.url, upstream_skip_verify=True) as client:
            assert await client.device_limit() == -1
        for wrong in ("empty.pem", "missing.pem"):
            with pytest.raises(AmbassadorError, match=f"MTLS_MENDER_CERT: .*{wrong}"):
                async with connected(good, upstream_ca=tmp_path / wrong):
                    pass


async def test_a_preauthorization_is_json_without_force_and_with_the_devices_address() -> None:
    seen: list[web.Request] = []
    bodies: list[object] = []

    async def created(request: web.Request) -> web.Response:
        seen.append(request)
        bodies.append(await request.json())
        return web.Response(status=201, headers={"Location": "devices/id-1"})

    async with stranger(created) as url, connected(url) as client:
        made = await client.preauthorize(identity_of("a"), KEY, {"X-Forwarded-For": "192.0.2.1"})
    assert made == Preauthorized("id-1")
    assert bodies == [{"identity_data": {"mac": "a"}, "pubkey": KEY.pem, "force": False}]
    assert seen[0].headers["X-Forwarded-For"] == "192.0.2.1"


async def test_a_kept_connection_that_upstream_closed_is_no_outage() -> None:
    calls = 0

    async def closes(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 2:
            assert request.transport
            request.transport.close()
        return web.json_response([])

    # A POST, which aiohttp itself would not send again.
    async with stranger(closes) as url, connected(url) as client:
        assert [await client.search_devices([]), await client.search_devices([])] == [[], []]
        assert calls == 3
