"""Every call to Mender carries a request id: the device's where a device caused it, else its own, which is told."""

import pytest

from mtls_ambassador.mender.calls import template_of
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.mender.transport import REQUEST_ID_HEADER
from mtls_ambassador.model.auth_request import AuthKey
from mtls_ambassador.model.device import AuthSetStatus
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.sandbox.server import SandboxServer
from support.enrolment import identity_of
from support.mender_client import refusal

OF_DEVICE = {REQUEST_ID_HEADER: "of-a-device"}
Told = list[tuple[str, str, str]]


@pytest.fixture
def told(client: MenderClient) -> Told:
    calls: Told = []
    client.transport.on_own_call = lambda call, outcome, request_id: calls.append((call, outcome, request_id))
    return calls


async def test_what_a_device_causes_has_its_id(client: MenderClient, sandbox: SandboxServer, told: Told) -> None:
    await client.preauthorize(identity_of("a"), AuthKey(public_key_pem(make_key()), "sha"), OF_DEVICE)
    await client.device_limit(OF_DEVICE)
    await client.count_devices(AuthSetStatus.ACCEPTED, OF_DEVICE)
    login, *others = sandbox.journal.entries
    assert [entry.header_values(REQUEST_ID_HEADER) for entry in others] == [["of-a-device"]] * 3
    assert told == [("login", "2xx", login.header(REQUEST_ID_HEADER))], "it serves all devices"


async def test_others_have_their_own_which_is_told(client: MenderClient, sandbox: SandboxServer, told: Told) -> None:
    assert await client.get_device("nobody") is None
    assert await client.search_devices([]) == []
    sent = [entry.header(REQUEST_ID_HEADER) for entry in sandbox.journal.entries]
    assert [request_id for _, _, request_id in told] == sent
    assert len(set(sent)) == 3
    assert [call[:2] for call in told] == [("login", "2xx"), ("get-device", "4xx"), ("search-devices", "2xx")]


async def test_a_call_without_an_answer_is_told_too(client: MenderClient, sandbox: SandboxServer, told: Told) -> None:
    await client.device_limit()
    sandbox.faults.drop()
    assert (await refusal(client.device_limit())).reason is Reason.UPSTREAM_UNREACHABLE
    assert told[-1][:2] == ("get-limit", Reason.UPSTREAM_UNREACHABLE.code)


async def test_paths_are_told_as_mender_documents_them(client: MenderClient, sandbox: SandboxServer) -> None:
    key = AuthKey(public_key_pem(make_key()), "sha")
    device = await client.get_device((await client.preauthorize(identity_of("b"), key)).device_id)
    assert device
    await refusal(client.set_auth_set_status(device.id, device.auth_sets[0].id, AuthSetStatus.ACCEPTED))
    assert [item.id async for item in client.devices()] == [device.id]
    await client.count_devices(AuthSetStatus.ACCEPTED)
    await client.search_devices([device.id])
    await client.device_limit()
    await client.decommission(device.id)
    for entry in sandbox.journal.entries:
        assert template_of(entry.method, f"{entry.path}?{entry.query}") == entry.route.replace("{aid}", "{id}")
    assert template_of("GET", "/api/of/another") == "other"
