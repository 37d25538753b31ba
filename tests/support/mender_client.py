"""The management client before the sandbox, or before a server that is no Mender."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.reason import RefusedError
from support.enrolment import LOGIN, settings_for

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def connected(url: str, **changes: object) -> AsyncIterator[MenderClient]:
    """A client with `changes` to its settings."""
    async with MenderClient.open(settings_for(url, Path("none"), **changes)) as client:
        yield client


async def refusal(call: Awaitable[object]) -> RefusedError:
    """The refusal a call ends with."""
    with pytest.raises(RefusedError) as caught:
        await call
    return caught.value


@asynccontextmanager
async def stranger(handler: Handler, login: bytes = b"token") -> AsyncIterator[str]:
    """The address of a server that answers logins with `login` and all else by `handler`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=login) if request.path == LOGIN else await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
