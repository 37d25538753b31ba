"""The device's WebSocket (deviceconnect): held open, pinged, dropped after silence (mender-facts section 4).

Terminal and file transfer are not there; messages are kept for tests, and tests may send.
"""

import asyncio
import datetime as dt
from collections import deque
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from mtls_ambassador.sandbox.state import DEVICE, STATE
from mtls_ambassador.sandbox.wire import ApiError, json_response, timestamp

CONNECT = "/api/devices/v1/deviceconnect/connect"
USERS = "/api/management/v1/deviceconnect/devices"
PROTOCOL = "protomsg/msgpack"
MAX_MESSAGE = 8 * 1_048_576
"""Bytes of one message; a longer one ends the connection."""
KEPT = 100
"""Messages of a device that are remembered."""


@dataclass(slots=True)
class Connection:
    """One device's WebSocket, open or closed."""

    socket: web.WebSocketResponse
    since: dt.datetime
    until: dt.datetime | None = None
    received: deque[bytes] = field(default_factory=lambda: deque(maxlen=KEPT))


class Connections:
    """Each device's last WebSocket, by device id."""

    def __init__(self) -> None:
        self.by_device: dict[str, Connection] = {}

    @property
    def connected(self) -> list[str]:
        """Ids of the devices whose WebSocket is open."""
        return [device_id for device_id, connection in self.by_device.items() if connection.until is None]

    async def send(self, device_id: str, message: bytes) -> None:
        """Send a binary message to a connected device; KeyError when it has none."""
        await self.by_device[device_id].socket.send_bytes(message)

    async def close_all(self) -> None:
        """End every open WebSocket, as a server does that goes down (RFC 6455 status 1001)."""
        for device_id in self.connected:
            await self.by_device[device_id].socket.close(code=1001)


CONNECTIONS = web.AppKey("connections", Connections)


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [web.get(CONNECT, connect), web.get(f"{USERS}/{{id}}", get_device)]


async def connect(request: web.Request) -> web.StreamResponse:
    """Upgrade to a WebSocket and hold it until the device leaves or falls silent; 400 when it is no upgrade."""
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=MAX_MESSAGE)
    if not socket.can_prepare(request).ok:
        raise ApiError(400, "websocket: the client is not using the websocket protocol")
    await socket.prepare(request)
    connection = Connection(socket, dt.datetime.now(dt.UTC))
    request.app[CONNECTIONS].by_device[request[DEVICE].id] = connection
    interval = request.app[STATE].config.ping_interval
    try:
        async with asyncio.TaskGroup() as tasks:
            pings = tasks.create_task(_ping(socket, interval))
            await _receive(connection, silence=2 * interval)
            pings.cancel()
    finally:
        connection.until = dt.datetime.now(dt.UTC)
    return socket


async def get_device(request: web.Request) -> web.Response:
    """Whether a device is connected."""
    device_id = request.match_info["id"]
    connection = request.app[CONNECTIONS].by_device.get(device_id)
    if connection is None:
        raise ApiError(404, "device not found")
    return json_response(
        {
            "device_id": device_id,
            "status": "disconnected" if connection.until else "connected",
            "created_ts": timestamp(connection.since),
            "updated_ts": timestamp(connection.until or connection.since),
        }
    )


async def _ping(socket: web.WebSocketResponse, interval: float) -> None:
    """The payload says how long the silence may be, in seconds."""
    try:
        while not socket.closed:
            await asyncio.sleep(interval)
            await socket.ping(str(int(2 * interval)).encode())
    except ConnectionError:
        return


async def _receive(connection: Connection, silence: float) -> None:
    """Take messages until the end; a pong counts as a sign of life."""
    while True:
        try:
            message = await connection.socket.receive(timeout=silence)
        except TimeoutError:
            await connection.socket.close(code=1001)
            return
        if message.type in {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}:
            return
        data = message.data
        connection.received.append(data if isinstance(data, bytes) else str(data).encode())
