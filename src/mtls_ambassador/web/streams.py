"""Server-sent events: a stream that ends when the listener leaves, after a while, or with the service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from mtls_ambassador.web.access.gate import GATE

HEARTBEAT = 15.0
"""Seconds; a connection that is dead is found by it, on both sides."""
LONGEST = 900.0
"""Seconds; then the listener connects again, and is asked again who it is."""
CHECK_EVERY = 10.0
"""Seconds between two looks at whether the listener may still listen."""
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
STREAMS = web.AppKey("streams", set[asyncio.Task[object]])


async def stream_to(
    request: web.Request,
    message: Callable[[], Awaitable[bytes]],
    *,
    headers: Mapping[str, str] | None = None,
    pause: float = 0.0,
) -> web.StreamResponse:
    """Write message after message, with a pause of so many seconds between two.

    Fails closed: it ends soon after the session, user or token with which it began is no longer good.
    """
    response = web.StreamResponse(headers=HEADERS | dict(headers or {}))
    await response.prepare(request)
    own, streams = asyncio.current_task(), request.app[STREAMS]
    assert own is not None  # noqa: S101 - a handler is run by a task
    streams.add(own)
    clock = asyncio.get_running_loop().time
    end, look_at = clock() + LONGEST, clock() + CHECK_EVERY
    try:
        while clock() < end:
            told = await message()
            if clock() >= look_at:
                if not await request.app[GATE].is_still_in(request):
                    break
                look_at = clock() + CHECK_EVERY
            await response.write(told)
            await asyncio.sleep(pause)
    except ConnectionResetError:
        pass  # the listener has left
    finally:
        streams.discard(own)
    return response


async def end_streams(app: web.Application) -> None:
    """The service ends: nobody waits for listeners."""
    for task in app[STREAMS]:
        task.cancel()
