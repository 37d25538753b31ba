"""From a request to an endpoint and back; every refusal has one shape."""

import re
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
import msgspec.inspect
import structlog
from aiohttp import web

from mtls_ambassador.mender.transport import REQUEST_ID_HEADER
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.web.access import require
from mtls_ambassador.web.api.endpoint import Call, Endpoint, Fault, Nothing, RefusalError
from mtls_ambassador.web.api.routes import ENDPOINTS
from mtls_ambassador.web.context import CONTEXT

log = structlog.get_logger("api")
JSON = "application/json"
_GIVEN_ID = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)
_FIELD = re.compile(r" - at `\$\.?([^`]*)`$")
_ROUTES = [(endpoint.pattern, endpoint) for endpoint in ENDPOINTS]


async def answer(request: web.Request) -> web.StreamResponse:
    """What the endpoint says, or why not. Fails closed: without an operator of the right scope nothing is looked at."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    own = given if _GIVEN_ID.fullmatch(given) else str(uuid.uuid4())
    try:
        return await _answer(request, own)
    except (RefusalError, AmbassadorError, RefusedError, web.HTTPException) as error:
        status, text, headers = _told(error)
        return _refused(status, text, own, headers)
    except Exception:
        log.exception("api failed", path=request.path[:200], request_id=own)
        return _refused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the gateway's log has it", own)


async def _answer(request: web.Request, own: str) -> web.StreamResponse:
    endpoint, path = _find(request)
    operator = require(request, endpoint.scope)
    query = _query(request, endpoint)
    body = await _body(request, endpoint) if endpoint.body is not Nothing else None
    call = Call(request, request.app[CONTEXT], operator, query, body, path, own)
    found = await endpoint.handler(call)
    if isinstance(found, web.StreamResponse):
        return found
    return web.Response(body=msgspec.json.encode(found), content_type=JSON, headers={REQUEST_ID_HEADER: own})


def _told(error: Exception) -> tuple[HTTPStatus, str, dict[str, str]]:
    """Status, words and headers of what is not the gateway's fault, or is known to be."""
    match error:
        case RefusalError():
            return error.status, str(error), {}
        case UsageError():
            return HTTPStatus.UNPROCESSABLE_ENTITY, str(error), {}
        case RefusedError():
            return HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "5"}
        case web.HTTPException():
            names = ("Allow", "Retry-After", "WWW-Authenticate")
            kept = {name: error.headers[name] for name in names if name in error.headers}
            return HTTPStatus(error.status), error.reason, kept
        case _:
            return HTTPStatus.CONFLICT, str(error), {}


def _find(request: web.Request) -> tuple[Endpoint, dict[str, str]]:
    known = [(endpoint, match) for pattern, endpoint in _ROUTES if (match := pattern.fullmatch(request.path))]
    for endpoint, match in known:
        if endpoint.method == request.method:
            return endpoint, match.groupdict()
    if known:
        raise web.HTTPMethodNotAllowed(request.method, sorted(endpoint.method for endpoint, _ in known))
    raise RefusalError(HTTPStatus.NOT_FOUND, "there is no such path; /api/v1/openapi.json lists them")


def _query(request: web.Request, endpoint: Endpoint) -> Any:  # noqa: ANN401 - of the endpoint's type
    fields = {field.encode_name: field for field in msgspec.structs.fields(endpoint.query)}
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in fields:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"{name[:60]!r}: no such parameter; there is {_some(fields)}")
        if name in given:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"{name}: given twice")
        if value.lower() == "null" and fields[name].default is None:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"{name}: cannot be null; leave it out for any")
        given[name] = value
    try:
        numbers = {
            name: _number(name, value, fields[name].type)
            for name, value in given.items()
            if _is_number(msgspec.inspect.type_info(fields[name].type))
        }
        return msgspec.convert(given | numbers, endpoint.query)
    except msgspec.ValidationError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, _named(error)) from error


def _is_number(kind: msgspec.inspect.Type) -> bool:
    """Whether an address has it as digits, or as true and false."""
    match kind:
        case msgspec.inspect.Metadata():
            return _is_number(kind.type)
        case msgspec.inspect.UnionType():
            return any(map(_is_number, kind.types))
        case _:
            return isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.BoolType)


def _number(name: str, value: str, kind: Any) -> Any:  # noqa: ANN401 - of a type
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"{name}: {error}") from error


async def _body(request: web.Request, endpoint: Endpoint) -> Any:  # noqa: ANN401 - of the endpoint's type
    if request.content_type != JSON:
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {JSON}, and the header must say so")
    content = await request.read()
    try:
        return msgspec.convert(_whole(msgspec.json.decode(content)), endpoint.body)
    except msgspec.ValidationError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, _named(error)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}"[:200]) from error


def _whole(value: Any) -> Any:  # noqa: ANN401 - what JSON can hold
    """As JSON Schema counts: 3.0 is a whole number."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return list(map(_whole, value))
        case dict():
            return {name: _whole(item) for name, item in value.items()}
        case _:
            return value


def _some(fields: Iterable[str]) -> str:
    return ", ".join(sorted(fields)) or "none"


def _named(error: msgspec.ValidationError) -> str:
    """The field at fault first."""
    text = str(error)
    found = _FIELD.search(text)
    return f"{found[1] or 'the body'}: {text[: found.start()]}"[:300] if found else text[:300]


def _refused(status: HTTPStatus, text: str, own: str, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(Fault(text.encode(errors="replace").decode(), own))
    return web.Response(
        status=status, body=body, content_type=JSON, headers={**(headers or {}), REQUEST_ID_HEADER: own}
    )
