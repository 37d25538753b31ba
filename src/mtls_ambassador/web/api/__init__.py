"""The management API, `/api/v1`: each endpoint is declared once, and routing, checks and documents come from that.

Its modules load when somebody first asks: a gateway that nobody asks pays nothing.
"""

from aiohttp import web

PREFIX = "/api/v1"


def add_api(app: web.Application) -> None:
    """Have everything below the prefix answered by it."""
    app.router.add_route("*", PREFIX + r"{rest:(/[\s\S]*)?}", _answer)


async def _answer(request: web.Request) -> web.StreamResponse:
    from mtls_ambassador.web.api.dispatch import answer  # noqa: PLC0415 - loads when needed

    return await answer(request)
