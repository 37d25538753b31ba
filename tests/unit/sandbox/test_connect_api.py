import aiohttp
import pytest
from aiohttp import WSMsgType

from mtls_ambassador.sandbox.server import SandboxConfig
from support.sandbox_caller import Caller, Enrolled

CONNECT = "/api/devices/v1/deviceconnect/connect"
USERS = "/api/management/v1/deviceconnect/devices"


@pytest.fixture
def sandbox_config() -> SandboxConfig:
    return SandboxConfig(ping_interval=0.05, decommission_delay=0)


def open_socket(
    caller: Caller, device: Enrolled, *, autoping: bool = True
) -> "aiohttp.client._WSRequestContextManager":  # aiohttp has no public name for it
    return caller.session.ws_connect(
        caller.sandbox.url + CONNECT,
        headers={"Authorization": f"Bearer {device.token}"},
        protocols=["protomsg/msgpack"],
        autoping=autoping,
    )


async def test_messages_go_both_ways(caller: Caller) -> None:
    device = await caller.enrol()
    async with open_socket(caller, device) as socket:
        assert socket.protocol == "protomsg/msgpack"
        assert caller.sandbox.connections.connected == [device.id]
        assert (await caller.manage("GET", f"{USERS}/{device.id}")).json["status"] == "connected"
        assert (await caller.call("GET", "/sandbox/connected")).json == [device.id]
        await caller.sandbox.connections.send(device.id, b"\x81\xa1a\x01")
        assert await socket.receive_bytes() == b"\x81\xa1a\x01"
        await socket.send_bytes(b"\xc0")
        await socket.close()
    connection = caller.sandbox.connections.by_device[device.id]
    while connection.until is None:
        await caller.call("GET", "/sandbox/connected")
    assert list(connection.received) == [b"\xc0"]
    assert (await caller.manage("GET", f"{USERS}/{device.id}")).json["status"] == "disconnected"


async def test_the_server_pings(caller: Caller) -> None:
    device = await caller.enrol()
    async with open_socket(caller, device, autoping=False) as socket:
        assert (await socket.receive()).type is WSMsgType.PING


async def test_a_silent_device_is_dropped(caller: Caller) -> None:
    device = await caller.enrol()
    async with open_socket(caller, device, autoping=False) as socket:
        while (message := await socket.receive()).type is WSMsgType.PING:
            pass
        assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED}
        assert socket.close_code == 1001


async def test_a_device_that_answers_pings_stays(caller: Caller) -> None:
    device = await caller.enrol()
    async with open_socket(caller, device, autoping=False) as socket:
        for _ in range(8):
            message = await socket.receive()
            assert message.type is WSMsgType.PING
            await socket.pong(message.data)
        assert caller.sandbox.connections.connected == [device.id]


async def test_no_upgrade_is_400_and_no_token_401(caller: Caller) -> None:
    device = await caller.enrol()
    assert (await caller.as_device("GET", CONNECT, device.token)).status == 400
    assert (await caller.call("GET", CONNECT)).status == 401
    assert (await caller.manage("GET", f"{USERS}/{device.id}")).status == 404
