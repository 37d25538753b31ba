"""Who may use the page and the API."""

from http import HTTPStatus

from aiohttp import web

from mtls_ambassador.model.operator import Operator, Scope

OPERATOR = web.RequestKey("operator", Operator)
"""Key of a request: the Operator, once the middleware of this package has let it through."""
CSRF = web.RequestKey("csrf", str)
"""Key of a request: the token that a form of the page must send back as `csrf`."""


async def form_of(request: web.Request) -> dict[str, str]:
    """The texts of a form; files are none. Raises HTTPBadRequest when it cannot be read, HTTPRequestEntityTooLarge."""
    try:
        sent = await request.post()
    except (ValueError, LookupError) as error:  # of multipart without a boundary, of an unknown charset
        raise web.HTTPBadRequest(text="The form cannot be read.") from error
    return {name: value for name, value in sent.items() if isinstance(value, str)}


def operator_of(request: web.Request) -> Operator:
    """Who asks. Fails closed: raises HTTPUnauthorized for a request that no middleware has let through."""
    found = request.get(OPERATOR)
    if not isinstance(found, Operator):
        raise web.HTTPUnauthorized
    return found


def require(request: web.Request, scope: Scope) -> Operator:
    """Who asks, if they may. Raises HTTPForbidden."""
    operator = operator_of(request)
    if not operator.may(scope):
        raise web.HTTPForbidden(reason=f"{HTTPStatus.FORBIDDEN.phrase}: the scope {scope.value} is needed")
    return operator
