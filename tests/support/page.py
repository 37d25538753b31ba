"""A browser without a screen for the admin listener: the real application on a real port, asked over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDictProxy

from mtls_ambassador.model.operator import Operator, Scope
from mtls_ambassador.web.access import OPERATOR
from mtls_ambassador.web.access.gate import GATE
from mtls_ambassador.web.admin import make_app
from mtls_ambassador.web.context import Context
from mtls_ambassador.web.service import serving

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str


@dataclass(frozen=True, slots=True)
class Browser:
    """It follows no redirect by itself."""

    session: aiohttp.ClientSession
    url: str

    async def get(self, path: str) -> Shown:
        """Ask for a page."""
        return await self._ask("GET", path, {})

    async def post(self, path: str, **fields: str) -> Shown:
        """Send a form."""
        return await self._ask("POST", path, fields)

    async def _ask(self, method: str, path: str, fields: dict[str, str]) -> Shown:
        data = fields or None
        async with self.session.request(method, f"{self.url}{path}", data=data, allow_redirects=False) as answer:
            return Shown(answer.status, answer.headers, await answer.text())


def page_app(context: Context, scope: Scope = Scope.WRITE) -> web.Application:
    """The application with its gate, and whom that lets through is an operator of that scope."""

    @web.middleware
    async def everybody(request: web.Request, handler: Handler) -> web.StreamResponse:
        if OPERATOR in request:
            request[OPERATOR] = Operator("marta", scope, "loopback")
        return await handler(request)

    app = make_app(context)
    app[GATE].csrf = "csrf"
    app.middlewares.append(everybody)
    return app


@asynccontextmanager
async def browsing(app: web.Application) -> AsyncIterator[Browser]:
    """The application on a free port, and a browser before it."""
    async with serving(app) as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name, too
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Browser(session, site.name)
