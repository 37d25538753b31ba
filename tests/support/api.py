"""The management API without a gateway: the real application on a real port, with tokens that a test knows."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import web

from mtls_ambassador.model.operator import Operator, Scope
from mtls_ambassador.web.access import OPERATOR
from mtls_ambassador.web.api import add_api
from mtls_ambassador.web.context import CONTEXT, Context
from mtls_ambassador.web.service import serving
from mtls_ambassador.web.streams import STREAMS, end_streams
from support.admin import admin_context

READ, WRITE = "read-token", "write-token"
_OPERATORS = {
    f"Bearer {READ}": Operator("robin", Scope.READ, "token"),
    f"Bearer {WRITE}": Operator("marta", Scope.WRITE, "token"),
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _by_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Who asks; whoever is not known is told by the API itself."""
    operator = _OPERATORS.get(request.headers.get("Authorization", ""))
    if operator is not None:
        request[OPERATOR] = operator
    return await handler(request)


def api_app(context: Context) -> web.Application:
    """The API alone."""
    app = web.Application(middlewares=[_by_token])
    app[CONTEXT] = context
    app[STREAMS] = set()
    app.on_shutdown.append(end_streams)
    add_api(app)
    return app


@asynccontextmanager
async def serving_api(context: Context) -> AsyncIterator[str]:
    """The URL below which it answers."""
    async with serving(api_app(context)) as runner:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"


@contextmanager
def api_in_a_thread(folder: Path, fill: Callable[[Context], None], **changes: object) -> Iterator[str]:
    """For callers that have no event loop: the same over a filled store, in a thread of its own."""
    ready, urls = threading.Event(), list[str]()
    ended: list[Callable[[], object]] = []

    async def serve() -> None:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        ended.append(lambda: loop.call_soon_threadsafe(end.set))
        async with admin_context(folder, **changes) as context:  # type: ignore[arg-type]  # settings by name
            fill(context)
            async with serving_api(context) as url:
                urls.append(url)
                ready.set()
                await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield urls[0]
    finally:
        for end in ended:
            end()
        thread.join()
