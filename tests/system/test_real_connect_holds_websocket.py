"""Mender's own mender-connect holds its WebSocket through the gateway, and messages pass both ways."""

import asyncio
from pathlib import Path

from mtls_ambassador.sandbox.real_client import RealClient
from support.mender import World
from support.wait import until

PING = 0.5
MAC = "02:00:00:00:00:02"
OPEN_SESSION = (
    b"\x82\xa3hdr\x83\xa5proto\xcd\xff\xff\xa3typ\xa4open\xa3sid\xa6test-1"  # header: control, "open", session id
    b"\xa4body\xc4\x0c\x81\xa8versions\x91\x01"  # body, as bytes: {"versions": [1]}
)
"""mender-connect's own handshake of a remote session (MessagePack); it answers `accept`."""


async def test_mender_connect_answers_over_a_websocket_that_outlives_many_pings(tmp_path: Path) -> None:
    async with World.running(tmp_path, ping_interval=PING) as world:
        config = world.real_client(world.pair(), MAC, connect=True)
        async with RealClient.running(config) as client:

            def logs() -> str:
                return client.log() + client.connect_log()

            device = await until(lambda: world.accepted(MAC), "the device to be accepted", logs)
            connections = world.sandbox.connections
            connection = await until(lambda: connections.by_device.get(device.id), "the WebSocket", logs)
            await asyncio.sleep(6 * PING)  # the sandbox drops whoever leaves two pings unanswered
            assert connections.by_device[device.id] is connection
            assert connection.until is None
            await connections.send(device.id, OPEN_SESSION)
            await until(lambda: any(b"accept" in message for message in connection.received), "its answer", logs)
