"""The management client before the real sandbox: login, devices, auth sets, paging."""

import asyncio

import pytest

from mtls_ambassador.mender.client import Conflict, MenderClient, Preauthorized
from mtls_ambassador.model.auth_request import AuthKey
from mtls_ambassador.model.device import AuthSetStatus
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.sandbox.server import SandboxServer
from mtls_ambassador.settings import Limits, Secret
from support.enrolment import LOGIN, identity_of
from support.mender_client import connected, refusal

DEVICES = "/api/management/v2/devauth/devices"
KEY = AuthKey(public_key_pem(make_key()), "sha")
SHORT = Limits(upstream_timeout=0.5, upstream_connect_timeout=0.5)


def logins(sandbox: SandboxServer) -> int:
    return len(sandbox.journal.find(LOGIN))


async def test_one_login_serves_all(sandbox: SandboxServer, client: MenderClient) -> None:
    await asyncio.gather(*(client.device_limit() for _ in range(100)))
    assert logins(sandbox) == 1


async def test_a_login_that_expired_under_a_hundred_calls_is_one_new_one(
    sandbox: SandboxServer, client: MenderClient
) -> None:
    await client.device_limit()
    for round_number in (2, 3):
        sandbox.state.users.expire_logins()
        await asyncio.gather(*(client.device_limit() for _ in range(100)))
        assert logins(sandbox) == round_number


async def test_a_login_that_ends_by_its_lifetime_is_renewed(sandbox: SandboxServer, client: MenderClient) -> None:
    sandbox.state.users.lifetime = -1
    assert (await refusal(client.device_limit())).reason is Reason.LOGIN_REFUSED
    sandbox.state.users.lifetime = 100
    assert await client.device_limit() == -1


@pytest.mark.parametrize("status", [500, 429])
async def test_a_login_that_fails_for_a_hundred_is_tried_once(
    sandbox: SandboxServer, client: MenderClient, status: int
) -> None:
    sandbox.faults.error(status, LOGIN, retry_after="9")
    errors = await asyncio.gather(*(refusal(client.device_limit()) for _ in range(100)))
    assert logins(sandbox) == 1
    assert {error.retry_after for error in errors} == {9}
    sandbox.faults.clear()
    assert await client.device_limit() == -1


async def test_a_wrong_password_is_no_storm(sandbox: SandboxServer) -> None:
    async with connected(sandbox.url, mender_password=Secret("wrong")) as client:
        for _ in range(5):
            error = await refusal(client.device_limit())
            assert error.reason is Reason.LOGIN_REFUSED
            assert "wrong" not in error.detail.replace("password is wrong", "")
        assert logins(sandbox) == 1


async def test_a_personal_access_token_needs_no_login(sandbox: SandboxServer) -> None:
    token = sandbox.state.users.create_token("gateway", 0)
    async with connected(sandbox.url, mender_token=Secret(token), mender_password=None) as client:
        assert await client.device_limit() == -1
        sandbox.state.users.delete_token(sandbox.state.users.tokens()[0].id)
        error = await refusal(client.device_limit())
        assert error.reason is Reason.LOGIN_REFUSED
        assert token not in str(error)
    assert logins(sandbox) == 0


async def test_preauthorize_and_conflict(sandbox: SandboxServer, client: MenderClient) -> None:
    made = await client.preauthorize(identity_of("a"), KEY)
    assert made == Preauthorized(sandbox.state.devauth.devices()[0].id)
    assert await client.preauthorize(identity_of("a"), KEY) == Conflict(made.device_id)


async def test_an_identity_reaches_mender_number_by_number(sandbox: SandboxServer, client: MenderClient) -> None:
    identity = Identity.parse('{"n":12345678901234567890,"s":"<\\u00e4\\ud83d\\ude00>","e":1e21,"f":0.0000001}')
    await client.preauthorize(identity, KEY)
    assert sandbox.state.devauth.find(identity)


async def test_a_device_with_its_sets(client: MenderClient) -> None:
    made = await client.preauthorize(identity_of("a"), KEY)
    device = await client.get_device(made.device_id)
    assert device
    assert (device.status, device.identity) == (AuthSetStatus.PREAUTHORIZED, identity_of("a").canonical)
    assert [item.status for item in device.auth_sets] == [AuthSetStatus.PREAUTHORIZED]
    assert await client.get_device("no-such") is None
    assert await client.get_device("../../useradm/users") is None
    assert await client.decommission(made.device_id)
    assert not await client.decommission(made.device_id)


async def test_setting_a_status(sandbox: SandboxServer, client: MenderClient) -> None:
    devauth = sandbox.state.devauth
    with pytest.raises(Exception, match="unauthorized"):
        devauth.submit(identity_of("a"), KEY.pem)
    device = devauth.devices()[0]
    auth_set = device.auth_sets[KEY.pem].id
    devauth.limit = 0
    accept = client.set_auth_set_status
    assert (await refusal(accept(device.id, auth_set, AuthSetStatus.ACCEPTED))).reason is Reason.DEVICE_LIMIT
    devauth.limit = 1
    await accept(device.id, auth_set, AuthSetStatus.ACCEPTED)
    assert await client.count_devices(AuthSetStatus.ACCEPTED) == 1
    assert await client.device_limit() == 1
    assert (await refusal(accept(device.id, "none", AuthSetStatus.ACCEPTED))).reason is Reason.REFUSED_UPSTREAM
    assert (await refusal(accept("none", auth_set, AuthSetStatus.REJECTED))).reason is Reason.REFUSED_UPSTREAM


async def test_more_devices_than_a_page(sandbox: SandboxServer, client: MenderClient) -> None:
    ids = [sandbox.state.devauth.preauthorize(identity_of(str(number)), KEY.pem) for number in range(1001)]
    assert {device.id async for device in client.devices()} == set(ids)
    assert [device async for device in client.devices(AuthSetStatus.ACCEPTED)] == []
    found = await client.search_devices(ids[:3])
    assert {device.id for device in found} == set(ids[:3])


async def test_may_preauthorize_makes_nothing(sandbox: SandboxServer, client: MenderClient) -> None:
    assert await client.may_preauthorize()
    assert sandbox.state.devauth.count() == 0
    sandbox.faults.error(403, DEVICES, count=1)
    assert not await client.may_preauthorize()
    sandbox.faults.error(500, DEVICES, count=1)
    assert (await refusal(client.may_preauthorize())).reason is Reason.UPSTREAM_FAILED


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7), ("0", 0), (None, None), ("soon", None), ("-1", None), ("1.5", None), ("9" * 30, 999_999_999)],
)
async def test_asked_to_wait_some_seconds(
    sandbox: SandboxServer, client: MenderClient, retry_after: str | None, seconds: float | None
) -> None:
    sandbox.faults.error(429, DEVICES, retry_after=retry_after)
    error = await refusal(client.get_device("x"))
    assert (error.reason, error.retry_after) == (Reason.UPSTREAM_THROTTLED, seconds)
