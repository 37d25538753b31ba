"""The first page: is it ready, who comes, who is refused, and what will need somebody soon."""

from aiohttp import web

from mtls_ambassador.web.access import operator_of
from mtls_ambassador.web.context import CONTEXT
from mtls_ambassador.web.ends import read_ends
from mtls_ambassador.web.page import query, reads
from mtls_ambassador.web.page.series import RANGES, by_cause, charts, range_of
from mtls_ambassador.web.page.site import render

CAUSES = 8
"""Shown; the page of refusals has all."""


async def show(request: web.Request) -> web.Response:
    """`GET /`."""
    operator_of(request)
    context = request.app[CONTEXT]
    span = range_of(query.text(request, "range"))
    counts, series = await reads.numbers(context, span)
    return render(
        request,
        "overview.html",
        readiness=await context.readiness(),
        inputs=context.inputs(),
        warnings=context.loaded.warnings,
        ends=await read_ends(context.loaded.settings),
        counts=counts,
        span=span,
        ranges=RANGES,
        charts=charts(series, span, context.now()),
        causes=by_cause(series)[:CAUSES],
    )
