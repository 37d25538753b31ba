"""Login, personal access tokens and the check before every management call (mender-facts section 2)."""

import base64
import binascii
import datetime as dt

from aiohttp import web

from mtls_ambassador.sandbox.state import SESSION, STATE, SandboxState
from mtls_ambassador.sandbox.useradm import Session, UserError
from mtls_ambassador.sandbox.wire import ApiError, json_response, parse_object, read_json_body, timestamp

BASE = "/api/management/v1/useradm"
LOGIN = f"{BASE}/auth/login"
CANNOT_PARSE = "cannot parse request body as json"


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [
        web.post(LOGIN, login),
        web.post(f"{BASE}/auth/logout", logout),
        web.get(f"{BASE}/users/me", me),
        web.post(f"{BASE}/settings/tokens", create_token),
        web.get(f"{BASE}/settings/tokens", list_tokens),
        web.delete(f"{BASE}/settings/tokens/{{id}}", delete_token),
    ]


def check_user(state: SandboxState, request: web.Request) -> Session:
    """The session of a management call. Fails closed: 401 with Mender's text for each case."""
    header = request.headers.get("Authorization", "")
    if header:
        parts = header.split()
        if len(parts) < 2 or parts[0].lower() != "bearer":  # noqa: PLR2004 - scheme and token
            raise ApiError(401, "malformed Authorization header")
        token = parts[1]
    else:
        token = request.cookies.get("JWT", "")
    if not token:
        raise ApiError(401, "authorization not present in header")
    try:
        return state.users.check(token)
    except UserError as error:
        raise ApiError(error.status, str(error)) from None


async def login(request: web.Request) -> web.Response:
    """Basic credentials in, a bare token out; the body is optional but must be JSON when there is one."""
    user, password = _basic(request.headers.get("Authorization", ""))
    body = await read_json_body(request)
    options = parse_object(body, "invalid request body") if body else {}
    no_expiry = options.get("no_expiry", False)
    if not isinstance(no_expiry, bool):
        raise ApiError(400, "json: cannot unmarshal field no_expiry of type bool")
    try:
        token = request.app[STATE].users.login(user, password, no_expiry=no_expiry)
    except UserError as error:
        raise ApiError(error.status, str(error)) from None
    return web.Response(body=token.encode(), content_type="application/jwt")


async def logout(request: web.Request) -> web.Response:
    """End the session in use."""
    request.app[STATE].users.logout(request[SESSION])
    return web.Response(status=202)


async def me(request: web.Request) -> web.Response:
    """Who is logged in: the cheapest way to try a credential."""
    users = request.app[STATE].users
    return json_response({"id": users.user_id, "email": users.email})


async def create_token(request: web.Request) -> web.Response:
    """A personal access token as text; 409 name taken, 422 more than ten."""
    try:
        body = parse_object(await read_json_body(request), CANNOT_PARSE)
    except ApiError as error:
        raise ApiError(error.status, CANNOT_PARSE if error.status == 400 else error.text) from None  # noqa: PLR2004
    name, expires_in = body.get("name"), body.get("expires_in", 0)
    if not isinstance(expires_in, int) or isinstance(expires_in, bool) or not isinstance(name, str | None):
        raise ApiError(400, CANNOT_PARSE)
    if not name:
        raise ApiError(400, "name: cannot be blank.")
    try:
        token = request.app[STATE].users.create_token(name, expires_in)
    except UserError as error:
        raise ApiError(error.status, str(error)) from None
    return web.Response(body=token.encode(), content_type="application/jwt")


async def list_tokens(request: web.Request) -> web.Response:
    """The personal access tokens, without the tokens themselves."""
    return json_response([_token_json(token) for token in request.app[STATE].users.tokens()])


async def delete_token(request: web.Request) -> web.Response:
    """End one personal access token."""
    request.app[STATE].users.delete_token(request.match_info["id"])
    return web.Response(status=204)


def _basic(header: str) -> tuple[str, str]:
    """User and password of HTTP Basic (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    if scheme.lower() != "basic" or ":" not in decoded:
        raise ApiError(401, "invalid or missing auth header")
    user, _, password = decoded.partition(":")
    return user, password


def _token_json(token: Session) -> dict[str, object]:
    value: dict[str, object] = {"id": token.id, "name": token.name, "created_ts": _unix(token.created)}
    if token.expires is not None:
        value["expiration_date"] = _unix(token.expires)
    if token.last_used is not None:
        value["last_used"] = _unix(token.last_used)
    return value


def _unix(moment: float) -> str:
    return timestamp(dt.datetime.fromtimestamp(int(moment), dt.UTC))
