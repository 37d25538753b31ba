"""What happens, as server-sent events, for programs."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.web.api.endpoint import Call, RefusalError
from mtls_ambassador.web.page.live import HEARTBEAT, LONGEST, STREAMS

if TYPE_CHECKING:
    from mtls_ambassador.flows.live import Happening

HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def live(call: Call) -> web.StreamResponse:
    """Each thing as an event of its kind; a comment when nothing happens for a while. Ends by itself after a while."""
    try:
        with call.context.live.listen() as queue:
            return await _tell(call, queue)
    except AmbassadorError as error:
        raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error


async def _tell(call: Call, queue: "asyncio.Queue[Happening]") -> web.StreamResponse:
    response = web.StreamResponse(headers=HEADERS | {"X-MEN-RequestID": call.request_id})
    await response.prepare(call.request)
    own, streams = asyncio.current_task(), call.request.app[STREAMS]
    assert own is not None  # noqa: S101 - a handler is run by a task
    streams.add(own)
    clock = asyncio.get_running_loop().time
    end = clock() + LONGEST
    try:
        while clock() < end:
            await response.write(await _next(queue))
    except ConnectionResetError:
        pass  # the listener has left
    finally:
        streams.discard(own)
    return response


async def _next(queue: "asyncio.Queue[Happening]") -> bytes:
    try:
        async with asyncio.timeout(HEARTBEAT):
            item = await queue.get()
    except TimeoutError:
        return b": still here\n\n"
    return f"event: {item.kind}\ndata: ".encode() + msgspec.json.encode(item.fields) + b"\n\n"
