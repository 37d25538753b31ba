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
from mtls_ambassador.web.streams import HEARTBEAT, stream_to

if TYPE_CHECKING:
    from mtls_ambassador.flows.live import Happening

PAUSE = 1.0
"""Seconds between two messages to one browser: what happens meanwhile goes into the next one."""


async def stream(request: web.Request) -> web.StreamResponse:
    """Until the browser leaves. Answers 503 when too many look already; the page then looks by itself now and then."""
    operator_of(request)
    try:
        with request.app[CONTEXT].live.listen() as queue:
            return await stream_to(request, lambda: _message(queue), pause=PAUSE)
    except AmbassadorError as error:
        headers = {"Retry-After": "30"}
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=f"{error}\n", headers=headers)


async def _message(queue: "asyncio.Queue[Happening]") -> bytes:
    kinds = await _news(queue)
    return f"event: {'happened' if kinds else 'beat'}\ndata: {json.dumps(kinds)}\n\n".encode()


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
