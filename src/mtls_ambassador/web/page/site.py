"""Pages from templates: what all of them are told, and the words they share."""

from functools import cache, partial
from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mtls_ambassador import __version__
from mtls_ambassador.model.operator import Operator, Scope
from mtls_ambassador.web.access import CSRF, OPERATOR
from mtls_ambassador.web.context import CONTEXT
from mtls_ambassador.web.page import assets, causes, charts, query, texts

TEMPLATES = Path(__file__).parent / "templates"
NAVIGATION = (
    ("/", "Overview"),
    ("/devices", "Devices"),
    ("/why", "Why?"),
    ("/refusals", "Refusals"),
    ("/certificates", "Certificates"),
    ("/batches", "Batches"),
    ("/denials", "Denied"),
    ("/events", "Events"),
    ("/settings", "Settings"),
)
MESSAGES = {
    "approved": "The identity now belongs to that certificate, from the device's next auth request on.",
    "revoked": "Denied. It is in force on every gateway of this database within a second.",
    "restored": "Restored. The device may come in again, from its next call on.",
    "still": "Restored, but something else still keeps the device out: see below.",
    "nothing": "Nothing had to be changed.",
}
"""What a redirect after an action may say, by its code: never a text from the address itself."""


def render(request: web.Request, template: str, *, status: int = 200, **values: object) -> web.Response:
    """A page. `values` are what its template asks for; a name that it lacks is an error, never an empty place."""
    operator = request.get(OPERATOR)
    now = request.app[CONTEXT].now()
    path = request.path
    common = {
        "operator": operator if isinstance(operator, Operator) else None,
        "may_write": isinstance(operator, Operator) and operator.may(Scope.WRITE),
        "csrf": request.get(CSRF, ""),
        "path": path,
        "here": next((place for place, _ in reversed(NAVIGATION) if _is_below(path, place)), ""),
        "now": now,
        "when": partial(texts.when, now=now),
        "message": MESSAGES.get(request.query.get("done", ""), ""),
        "status": status,
    }
    text = environment().get_template(template).render(common | values)
    return web.Response(status=status, text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


@cache
def environment() -> Environment:
    """One for the life of the service. Everything is escaped unless it is markup of ours."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(navigation=NAVIGATION, assets=assets.urls(), version=__version__)
    made.globals.update(draw=charts.draw, link=query.link, cause=causes.words, where=causes.where)
    filters = texts.isolated, texts.visible, texts.number, texts.short, texts.copyable, texts.stamp
    made.filters.update({function.__name__: function for function in filters})
    return made


def _is_below(path: str, place: str) -> bool:
    return path == place or (place != "/" and path.startswith(f"{place}/"))
