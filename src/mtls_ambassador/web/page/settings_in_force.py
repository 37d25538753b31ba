"""Settings as in force: what each is, and who said so."""

from aiohttp import web

from mtls_ambassador.settings.shown import in_force
from mtls_ambassador.web.access import operator_of
from mtls_ambassador.web.context import CONTEXT
from mtls_ambassador.web.page.site import render


async def show(request: web.Request) -> web.Response:
    """`GET /settings`."""
    operator_of(request)
    loaded = request.app[CONTEXT].loaded
    shown = in_force(loaded)
    return render(
        request,
        "settings.html",
        given=[item for item in shown if item.is_given],
        default=[item for item in shown if not item.is_given],
        warnings=loaded.warnings,
    )
