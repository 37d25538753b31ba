"""What happens, as server-sent events: how many things of which kind, whereupon the page looks again at what it shows.

No text of a device goes this way, so that there is one place alone where such texts become HTML: the templates.
"""

import asyncio
import json
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.web.access import operator_of
from mtls_ambassador.web.context import CONTEXT

if TYPE_CHECKING:
    from mtls_ambassador.flows.live import Happening

HEARTBEAT = 15.0
"""Seconds; a connection that is dead is found by it, on both sides."""
PAUSE = 1.0
"""Seconds between two messages to one browser: what happens meanwhile goes into the next one."""
LONGEST = 900.0
"""Seconds; then the browser connects again, and is asked again who it is."""
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
STREAMS = web.AppKey("streams", set[asyncio.Task[object]])


async def stream(request: web.Request) -> web.StreamResponse:
    """Until the browser leaves. Answers 503 when too many look already; the page then looks by itself now and then."""
    operator_of(request)
    try:
        with request.app[CONTEXT].live.listen() as queue:
            return await _tell(request, queue)
    except AmbassadorError as error:
        headers = {"Retry-After": "30"}
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=f"{error}\n", headers=headers)


async def end_streams(app: web.Application) -> None:
    """The service ends: nobody waits for browsers."""
    for task in app[STREAMS]:
        task.cancel()


async def _tell(request: web.Request, queue: "asyncio.Queue[Happening]") -> web.StreamResponse:
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    own = asyncio.current_task()
    assert own is not None  # noqa: S101 - a handler is run by a task
    request.app[STREAMS].add(own)
    clock = asyncio.get_running_loop().time
    end = clock() + LONGEST
    try:
        while clock() < end:
            kinds = await _news(queue)
            message = f"event: {'happened' if kinds else 'beat'}\ndata: {json.dumps(kinds)}\n\n"
            await response.write(message.encode())
            await asyncio.sleep(PAUSE)
    except ConnectionResetError:
        pass  # the browser has left
    finally:
        request.app[STREAMS].discard(own)
    return response


async def _news(queue: "asyncio.Queue[Happening]") -> dict[str, int]:
    """How many happened, by kind; none when nothing did for a while."""
    try:
        async with asyncio.timeout(HEARTBEAT):
            kinds = Counter([(await queue.get()).kind])
    except TimeoutError:
        return {}
    while not queue.empty():
        kinds[queue.get_nowait().kind] += 1
    return dict(kinds)
