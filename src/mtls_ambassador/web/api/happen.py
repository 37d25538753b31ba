"""What happens, as server-sent events, for programs."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from mtls_ambassador.mender.transport import REQUEST_ID_HEADER
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.web.api.endpoint import Call, RefusalError
from mtls_ambassador.web.streams import HEARTBEAT, stream_to

if TYPE_CHECKING:
    from mtls_ambassador.flows.live import Happening


async def live(call: Call) -> web.StreamResponse:
    """Each thing as an event of its kind; a comment when nothing happens for a while. Ends by itself after a while."""
    try:
        with call.context.live.listen() as queue:
            return await stream_to(call.request, lambda: _next(queue), headers={REQUEST_ID_HEADER: call.request_id})
    except AmbassadorError as error:
        raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error


async def _next(queue: "asyncio.Queue[Happening]") -> bytes:
    try:
        async with asyncio.timeout(HEARTBEAT):
            item = await queue.get()
    except TimeoutError:
        return b": still here\n\n"
    return f"event: {item.kind}\ndata: ".encode() + msgspec.json.encode(item.fields) + b"\n\n"
