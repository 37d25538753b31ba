"""Who may use the page and the API."""

from http import HTTPStatus

from aiohttp import web

from mtls_ambassador.model.operator import Operator, Scope

OPERATOR = web.RequestKey("operator", Operator)
"""Key of a request: the Operator, once the middleware of this package has let it through."""
CSRF = web.RequestKey("csrf", str)
"""Key of a request: the token that a form of the page must send back as `csrf`."""


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
