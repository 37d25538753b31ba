"""The device's way in: auth requests, and the token check before every other device call."""

import time
from collections.abc import Mapping

from aiohttp import web

from mtls_ambassador.model.identity import Identity
from mtls_ambassador.sandbox.devauth import AuthSet, Device, LimitError, UnauthorizedError
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from mtls_ambassador.sandbox.keys import AuthKey, parse_key
from mtls_ambassador.sandbox.state import STATE, SandboxState
from mtls_ambassador.sandbox.tokens import InvalidTokenError
from mtls_ambassador.sandbox.wire import ApiError, parse_object, read_json_body, text_field

DECODE = "failed to decode auth request"
INVALID = "invalid auth request"


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [web.post(AUTH_REQUESTS, submit)]


async def submit(request: web.Request) -> web.Response:
    """`POST …/auth_requests`: 200 with a bare token, 400 malformed, 401 everything else (mender-facts section 1)."""
    body = await read_json_body(request)
    identity, key = _parse(parse_object(body, DECODE))
    signature = request.headers.get("X-MEN-Signature", "")
    if not signature:
        raise ApiError(400, "missing request signature header")
    if not key.verifies(signature, body):
        raise ApiError(401, "signature verification failed")
    state = request.app[STATE]
    try:
        auth_set = state.devauth.submit(identity, key.pem)
    except UnauthorizedError as error:
        raise ApiError(401, str(error)) from None
    except LimitError:
        raise ApiError(401, "unauthorized") from None
    return web.Response(body=_token(state, auth_set).encode(), content_type="application/jwt")


def check_device(state: SandboxState, authorization: str | None) -> Device:
    """The device behind an `Authorization` header. Fails closed: 401, with a body only when the header is missing."""
    if not authorization:
        raise ApiError(401, "Authorization not present in header")
    token = authorization.replace("Bearer", "", 1).replace("bearer", "", 1).strip()
    try:
        claims = state.signer.read(token, time.time())
        if claims.get("mender.device") is not True:
            raise ApiError(401)
        return state.devauth.check(str(claims.get("jti")))
    except (InvalidTokenError, UnauthorizedError):
        raise ApiError(401) from None


def _parse(value: Mapping[str, object]) -> tuple[Identity, AuthKey]:
    id_data, pubkey = text_field(value, "id_data", DECODE), text_field(value, "pubkey", DECODE)
    text_field(value, "tenant_token", DECODE)
    if not id_data:
        raise ApiError(400, f"{INVALID}: id_data must be provided")
    if not pubkey:
        raise ApiError(400, f"{INVALID}: pubkey must be provided")
    try:
        key = parse_key(pubkey)
        return Identity.parse(id_data), key
    except ValueError as error:
        raise ApiError(400, f"{INVALID}: {error}") from None


def _token(state: SandboxState, auth_set: AuthSet) -> str:
    """A device token: `jti` is the auth set, `sub` the device."""
    now = time.time()
    claims = {
        "jti": auth_set.id,
        "sub": auth_set.device_id,
        "exp": int(now + state.config.device_token_lifetime),
        "iat": int(now),
        "iss": "Mender",
        "mender.device": True,
        "mender.plan": "enterprise",
        "mender.trial": False,
        "mender.addons": [{"name": name, "enabled": True} for name in ("configure", "troubleshoot", "monitor")],
    }
    state.devauth.grant(auth_set)
    return state.signer.sign(claims)
