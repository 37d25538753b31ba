"""`/why`: one verdict about a device, and the same as a part of its page."""

from http import HTTPStatus

from aiohttp import web

from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.storable import storable
from mtls_ambassador.web.access import operator_of
from mtls_ambassador.web.context import CONTEXT
from mtls_ambassador.web.explaining import explained
from mtls_ambassador.web.page import form, query
from mtls_ambassador.web.page.devices import find
from mtls_ambassador.web.page.site import render


async def ask(request: web.Request) -> web.Response:
    """`GET /why?q=…`, and `POST /why` with a certificate, which is too long for an address."""
    operator_of(request)
    asked = query.text(request, "q") if request.method == "GET" else (await form.fields(request)).get("pem", "")
    is_pem = request.method == "POST"
    explanation, fault = None, ""
    if asked.strip():
        try:
            explanation = await explained(request.app[CONTEXT], storable(asked))
        except UsageError as error:
            fault = str(error)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK
    shown = "" if is_pem else asked
    return render(request, "why.html", status=status, q=shown, is_pem=is_pem, explanation=explanation, fault=fault)


async def of_device(request: web.Request) -> web.Response:
    """`GET /devices/{identity}/why`: loaded into the device's page by its script, and a page for those without."""
    operator_of(request)
    found = await find(request)
    explanation = await explained(request.app[CONTEXT], found.row.identity)
    return render(request, "device_why.html", explanation=explanation, device=found)
