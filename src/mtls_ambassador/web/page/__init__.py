"""The operator page: everything the gateway knows, for a person with a browser.

Its modules and the template engine load when the first page is asked for: a gateway at which nobody looks pays nothing.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module

from aiohttp import web

from mtls_ambassador.web.page.errors import as_page
from mtls_ambassador.web.streams import STREAMS, end_streams

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOGIN = "mtls_ambassador.web.access.login"
ROUTES = (
    ("GET", "/", "overview", "show"),
    ("GET", "/assets/{name}", "assets", "serve"),
    ("GET", "/login", LOGIN, "show"),
    ("POST", "/login", LOGIN, "log_in"),
    ("POST", "/logout", LOGIN, "log_out"),
    ("GET", "/live", "live", "stream"),
    ("GET", "/devices", "devices", "show_list"),
    ("GET", "/devices/{identity:[0-9a-f]{64}}", "devices", "show_one"),
    *(
        (method, f"/devices/{{identity:[0-9a-f]{{64}}}}/{action}", "actions", action)
        for action in ("revoke", "restore", "approve")
        for method in ("GET", "POST")
    ),
    ("GET", "/devices/{identity:[0-9a-f]{64}}/why", "why", "of_device"),
    ("GET", "/why", "why", "ask"),
    ("POST", "/why", "why", "ask"),
    ("GET", "/refusals", "lists", "refusals"),
    ("GET", "/certificates", "lists", "certificates"),
    ("GET", "/batches", "lists", "batches"),
    ("GET", "/denials", "lists", "denials"),
    ("GET", "/events", "lists", "events"),
    ("GET", "/settings", "settings_in_force", "show"),
)
"""Method, path, module (of this package where it has no dot), function in it."""


def add_page(app: web.Application) -> None:
    """Add its routes, and have its errors told as pages."""
    for method, path, module, function in ROUTES:
        app.router.add_route(method, path, _lazy(module, function))
    app[STREAMS] = set()
    app.middlewares.insert(0, as_page)
    app.on_shutdown.append(end_streams)


def _lazy(module: str, function: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        found: Handler = getattr(import_module(module if "." in module else f"{__name__}.{module}"), function)
        return await found(request)

    return handle
