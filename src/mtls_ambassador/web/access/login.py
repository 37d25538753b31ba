"""Logging in by password, and out again."""

import asyncio
import math
from http import HTTPStatus

import structlog
from aiohttp import web

from mtls_ambassador.model.operator import Operator
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.store.audit import AuditEntry, append
from mtls_ambassador.web.access import OPERATOR, form_of, policy
from mtls_ambassador.web.access.gate import GATE, Gate, peer
from mtls_ambassador.web.access.sessions import LONGEST
from mtls_ambassador.web.access.users import is_password
from mtls_ambassador.web.page.site import render

log = structlog.get_logger("access")
LONGEST_NAME = 64


async def show(request: web.Request) -> web.Response:
    """`GET /login`."""
    gate = request.app[GATE]
    if not gate.door.has_users:
        raise web.HTTPNotFound(text="There is no login by password here: MTLS_ADMIN_USERS is not set.")
    if gate.session_of(request) is not None:
        raise web.HTTPSeeOther(policy.own_path(request.query.get("next", "/")))
    return _form(request, request.query.get("next", "/"), "")


async def log_in(request: web.Request) -> web.Response:
    """`POST /login`. Fails closed; says the same, after the same work, whether the name or the password is wrong."""
    gate = request.app[GATE]
    if gate.users is None:
        raise web.HTTPNotFound(text="There is no login by password here: MTLS_ADMIN_USERS is not set.")
    sent = await form_of(request)
    name, password, wanted = (sent.get(field, "") for field in ("name", "password", "next"))
    name, address = name.strip()[:LONGEST_NAME], peer(request)
    if wait := gate.throttle.wait(address, name):
        raise web.HTTPTooManyRequests(
            text="Too many attempts. Wait a while, and try again.", headers={"Retry-After": str(math.ceil(wait))}
        )
    gate.throttle.failed(
        address, name
    )  # before it is checked, so that many at once are not more than one after another
    user = gate.users.current().get(name)
    async with gate.checking:
        is_right = await asyncio.to_thread(is_password, user, password)
    if not is_right or user is None:
        await _write(gate, "login-refused", name, address)
        return _form(request, wanted, "Name or password is wrong.", HTTPStatus.UNAUTHORIZED)
    gate.throttle.succeeded(address, name)
    gate.sessions.end(request.cookies.get(gate.cookie, ""))
    chosen = gate.sessions.begin(Operator(user.name, user.scope, "password"), user.proof)
    await _write(gate, "logged-in", name, address)
    answer = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": policy.own_path(wanted)})
    answer.set_cookie(
        gate.cookie,
        chosen,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=gate.door.has_tls,
        httponly=True,
        samesite="Strict",
    )
    return answer


async def log_out(request: web.Request) -> web.Response:
    """`POST /logout`."""
    gate = request.app[GATE]
    gate.sessions.end(request.cookies.get(gate.cookie, ""))
    await _write(gate, "logged-out", request[OPERATOR].name, peer(request))
    answer = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": policy.LOGIN})
    answer.del_cookie(gate.cookie, path="/", secure=gate.door.has_tls, httponly=True, samesite="Strict")
    return answer


def _form(request: web.Request, wanted: str, fault: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return render(request, "login.html", status=status, next=policy.own_path(wanted), fault=fault)


async def _write(gate: Gate, outcome: str, name: str, address: str) -> None:
    """To log and audit. A store that fails keeps nobody from logging in: the log has it."""
    log.info("login", outcome=outcome, user=name, address=address)
    entry = AuditEntry(gate.context.now(), "login", outcome, f"{name} (password)", address=address)
    try:
        await gate.context.database.run(lambda c: append(c, entry))
    except RefusedError as error:
        log.error("audit not written", error=str(error))  # noqa: TRY400 - no traceback
