"""The gate before page and API: who asks, whether another site makes them, and what answers say to the browser.

Fails closed: a request that no rule lets through reaches no handler, and a handler that finds no operator refuses.
"""

import asyncio
import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

from mtls_ambassador.mender.transport import REQUEST_ID_HEADER
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.model.operator import Operator, Scope
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.store import tokens
from mtls_ambassador.web.access import CSRF, OPERATOR, form_of, policy
from mtls_ambassador.web.access.sessions import Session, Sessions
from mtls_ambassador.web.access.throttle import Throttle
from mtls_ambassador.web.access.users import is_same
from mtls_ambassador.web.access.users_file import UsersFile
from mtls_ambassador.web.context import CONTEXT, Context

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CSRF_HEADER = "X-CSRF-Token"
LARGEST_BODY = 1024 * 1024
KEPT_BY_TLS = "max-age=31536000"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(slots=True)
class Gate:
    """One for the life of the service."""

    context: Context = field(repr=False)
    door: policy.Door
    users: UsersFile | None
    sessions: Sessions = field(repr=False)
    throttle: Throttle = field(repr=False)
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """Of all on loopback without login; of users a proxy names as well, who have no session here."""
    checking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """One password at a time: each takes 19 MiB and a while."""

    @classmethod
    def of(cls, context: Context) -> "Gate":
        """As the settings say."""
        chosen = context.loaded.settings
        host = chosen.admin_listen.host
        door = policy.Door(
            is_loopback=bool(host) and ipaddress.ip_address(host).is_loopback,
            has_tls=chosen.admin_certificate is not None,
            has_users=chosen.admin_users is not None,
            has_proxies=bool(chosen.admin_user_header and chosen.admin_proxies),
        )
        users = UsersFile(chosen.admin_users, context.now) if chosen.admin_users else None
        return cls(context, door, users, Sessions(context.now), Throttle(context.now))

    @property
    def cookie(self) -> str:
        """Under TLS with the prefix by which browsers keep other hosts and plain HTTP from setting it."""
        return "__Host-session" if self.door.has_tls else "session"

    def inputs(self) -> list[InputState]:
        """How it stands with the users file."""
        if self.users is None:
            return []
        self.users.current()
        return [self.users.state]

    async def is_still_in(self, request: web.Request) -> bool:
        """Whether who was let in with this request would be now. Fails closed: a store that does not answer says no.

        It is for streams that have begun; to look is not to use, so that an open page keeps no session alive.
        """
        try:
            found = await self.identify(request, is_use=False)
        except RefusedError:
            return False
        return found is not None and found.may(request[OPERATOR].scope)

    def session_of(self, request: web.Request, *, is_use: bool = True) -> Session | None:
        """The one it comes with, while the user's line of the file is the one that it began with."""
        given = request.cookies.get(self.cookie, "")
        found = self.sessions.find(given, is_use=is_use) if given else None
        if found is None:
            return None
        user = self.users.current().get(found.operator.name) if self.users else None
        if user is None or not is_same(user.proof, found.proof):
            self.sessions.end(given)
            return None
        return found

    async def identify(self, request: web.Request, *, is_use: bool = True) -> Operator | None:
        """Who asks; None for nobody who is known. A token that is not good is an error, whatever else comes with it."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._by_token(given.strip())
        if (session := self.session_of(request, is_use=is_use)) is not None:
            request[CSRF] = session.csrf
            return session.operator
        if (named := self._by_proxy(request)) is not None:
            request[CSRF] = self.csrf
            return named
        if self.door.asks_login:
            return None
        request[CSRF] = self.csrf
        return Operator("loopback", Scope.WRITE, "loopback")

    async def _by_token(self, given: str) -> Operator | None:
        now = self.context.now()
        token = await self.context.database.read(lambda c: tokens.find(c, given))
        if token is None or not token.is_good(now):
            return None
        if token.last_used_at is None or now - token.last_used_at >= tokens.STEP:
            await self.context.database.run(lambda c: tokens.used(c, token, now))
        return Operator(token.name, token.scope, "token")

    def _by_proxy(self, request: web.Request) -> Operator | None:
        """The header counts from the addresses of the settings alone; whom the users file lacks may only read."""
        if not self.door.has_proxies:
            return None
        chosen = self.context.loaded.settings
        names = request.headers.getall(chosen.admin_user_header, [])
        if len(names) != 1 or not names[0].isprintable() or not 0 < len(names[0]) <= 254:  # noqa: PLR2004 - of an address of e-mail
            return None
        address = peer(request)
        try:
            is_trusted = any(ipaddress.ip_address(address) in network for network in chosen.admin_proxies)
        except ValueError:
            return None
        if not is_trusted:
            return None
        user = self.users.current().get(names[0]) if self.users else None
        return Operator(names[0], user.scope if user else Scope.READ, "proxy")


GATE = web.AppKey("gate", Gate)


def add_gate(app: web.Application) -> None:
    """Put it before all that the application serves; after this, nothing but what is free is there for everybody."""
    app[GATE] = Gate.of(app[CONTEXT])
    app.middlewares.append(_gate)
    app.on_response_prepare.append(_say)


def peer(request: web.Request) -> str:
    """The address that called, without its zone."""
    return (request.remote or "").partition("%")[0].removeprefix("::ffff:")


@web.middleware
async def _gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    gate = request.app[GATE]
    is_free = policy.is_free(request.path)
    if not is_free and (fault := _fault(request, gate.door)):
        return _no(request, HTTPStatus.FORBIDDEN, fault)
    if is_free or request.path == policy.LOGIN:
        return await handler(request)
    try:
        operator = await gate.identify(request)
    except RefusedError as error:
        return _no(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    if operator is None:
        return _ask_login(request)
    if request.method not in policy.SAFE and operator.how != "token" and not await _has_token(request, operator):
        return _no(request, HTTPStatus.FORBIDDEN, "The form is not of this page, or too old; open it again.")
    request[OPERATOR] = operator
    return await handler(request)


def _fault(request: web.Request, door: policy.Door) -> str:
    """Why nobody may ask this in this way, whoever it is; empty for nothing."""
    if shut := door.shut if request.path.startswith(policy.API) else door.page_shut:
        return shut
    if not door.asks_login and not policy.is_local_name(request.headers.get("Host", "")):
        return "Ask for it as localhost or 127.0.0.1: no other name is known here."
    if request.method not in policy.SAFE and policy.is_cross_site(request.headers):
        return "Another site asked for this."
    return ""


async def _has_token(request: web.Request, operator: Operator) -> bool:
    """Whether it carries what only a page of ours knows. Fails closed."""
    if policy.needs_no_token(request.path, request.headers, has_session=operator.how != "loopback"):
        return True
    given = request.headers.get(CSRF_HEADER, "")
    kind = request.content_type
    if not given and kind in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        given = (await form_of(request)).get("csrf", "")
    return bool(given) and is_same(given, request.get(CSRF, ""))


def _ask_login(request: web.Request) -> web.StreamResponse:
    """A browser is sent to the form, everybody else is told."""
    gate = request.app[GATE]
    if request.method == "GET" and gate.door.has_users and "text/html" in request.headers.get("Accept", ""):
        raise web.HTTPSeeOther(f"{policy.LOGIN}?next={quote(request.path_qs[:500], safe='')}")
    return _no(request, HTTPStatus.UNAUTHORIZED, "A login or a token is needed, and what was given is not good.")


def _no(request: web.Request, status: HTTPStatus, text: str) -> web.Response:
    """In the shape that is asked for: Mender's error for programs, a page for people."""
    if request.path.startswith(policy.API):
        given = request.headers.get(REQUEST_ID_HEADER, "")
        own = given if given.isascii() and given.isprintable() and len(given) <= 64 else ""  # noqa: PLR2004 - as in the audit
        headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
        return web.json_response({"error": text, "request_id": own}, status=status, headers=headers)
    from mtls_ambassador.web.page.errors import told  # noqa: PLC0415 - the template engine loads when needed

    return told(request, status, text)


async def _say(request: web.Request, response: web.StreamResponse) -> None:
    """What browsers must know of every answer."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if request.app[GATE].door.has_tls:
        response.headers.setdefault("Strict-Transport-Security", KEPT_BY_TLS)
