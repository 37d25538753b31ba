"""The first page: is it ready, who comes, who is refused, and what will need somebody soon."""

import datetime as dt

from aiohttp import web

from mtls_ambassador.web.access import operator_of
from mtls_ambassador.web.context import CONTEXT
from mtls_ambassador.web.page.ends import read_ends
from mtls_ambassador.web.page.site import render


async def show(request: web.Request) -> web.Response:
    """`GET /`."""
    operator_of(request)
    context = request.app[CONTEXT]
    return render(
        request,
        "overview.html",
        readiness=await context.readiness(),
        inputs=context.inputs(),
        warnings=context.loaded.warnings,
        ends=await read_ends(context.loaded.settings),
        soon=context.now() + dt.timedelta(days=30),
    )
