"""The sandbox as a server: a small Mender for demos and tests, in this process or as a command."""

import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from mtls_ambassador.pki.issue import Pair
from mtls_ambassador.sandbox import (
    auth_api,
    bulk_api,
    connect_api,
    control_api,
    deployments_api,
    devauth_api,
    inventory_api,
    page,
    updates_api,
    useradm_api,
)
from mtls_ambassador.sandbox.connect_api import CONNECTIONS, Connections
from mtls_ambassador.sandbox.devauth import StatusBrokenError
from mtls_ambassador.sandbox.faults import DroppedError, Fault, Faults, strike
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS, Entry, Journal
from mtls_ambassador.sandbox.state import DEVICE, SESSION, STATE, SandboxConfig, SandboxState
from mtls_ambassador.sandbox.wire import ENTRY, MAX_BODY, REQUEST_ID, ApiError

__all__ = ["SandboxConfig", "SandboxServer"]

MODULES: tuple[ModuleType, ...] = (
    auth_api,
    devauth_api,
    useradm_api,
    inventory_api,
    deployments_api,
    updates_api,
    connect_api,
    bulk_api,
    control_api,
    page,
)

log = structlog.get_logger("sandbox")


class SandboxServer:
    """A running sandbox. For demos and tests only: it keeps nothing and trusts whoever can reach `/sandbox/`."""

    def __init__(self, state: SandboxState, connections: Connections, listener: "_Listener") -> None:
        self.state = state
        self.connections = connections
        self.host = state.config.host or "127.0.0.1"
        self.port = listener.port
        self._listener = listener

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.state.config.tls else 'http'}://{host}:{self.port}"

    @property
    def journal(self) -> Journal:
        """What was received."""
        return self.state.journal

    @property
    def faults(self) -> Faults:
        """What goes wrong to order."""
        return self.state.faults

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Be down while the block runs: open connections end, new ones are refused; what is known stays known."""
        await self._listener.stop()
        try:
            yield
        finally:
            await self._listener.start()

    @classmethod
    @asynccontextmanager
    async def running(cls, config: SandboxConfig | None = None) -> AsyncIterator["SandboxServer"]:
        """Serve until the block ends; raises OSError when the address cannot be had."""
        config = config or SandboxConfig()
        with tempfile.TemporaryDirectory(prefix="mender-sandbox-") as folder:
            state = SandboxState(config, Path(folder))
            app = make_app(state)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            listener = _Listener(runner, config)
            await runner.setup()
            try:
                await listener.start()
                yield cls(state, app[CONNECTIONS], listener)
            finally:
                await runner.cleanup()


class _Listener:
    """The listening socket, which can be taken away and come back on the same port."""

    def __init__(self, runner: web.AppRunner, config: SandboxConfig) -> None:
        self.port = config.port
        self._runner = runner
        self._host = config.host
        self._context = _tls_context(config.tls, config.chain_pem) if config.tls else None
        self._site: web.TCPSite | None = None

    async def start(self) -> None:
        """Listen; the port the system chose the first time is kept."""
        self._site = web.TCPSite(self._runner, self._host, self.port, ssl_context=self._context, backlog=1024)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse new connections and end those that are open."""
        if self._site:
            await self._site.stop()
        for connection in self._runner.server.connections if self._runner.server else ():
            connection.force_close()


def make_app(state: SandboxState) -> web.Application:
    """The web application around a state."""
    app = web.Application(middlewares=[_frame], client_max_size=MAX_BODY)
    app[STATE] = state
    app[CONNECTIONS] = Connections()
    app.on_shutdown.append(_close_sockets)
    for module in MODULES:
        app.add_routes(module.routes())
    return app


async def _close_sockets(app: web.Application) -> None:
    await app[CONNECTIONS].close_all()


@web.middleware
async def _frame(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Around every call: request id, journal, faults, token check, error shape."""
    state = request.app[STATE]
    request[REQUEST_ID] = request_id = request.headers.get("X-MEN-RequestID") or str(uuid4())
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    path, _, query = request.raw_path.partition("?")
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "unknown"
    entry = state.journal.open(Entry(request.method, path, query, headers, request.remote or "", route))
    request[ENTRY] = entry
    is_held = request.headers.get("Upgrade", "").lower() == "websocket"
    try:
        with nullcontext() if is_held else state.journal.under_way():
            response = await _answer(request, handler, state)
    except ApiError as error:
        response = error.response(request_id)
    except DroppedError:
        return web.Response()
    if not response.prepared:
        response.headers["X-MEN-RequestID"] = request_id
    state.journal.close(entry, response.status)
    if state.config.log_requests:
        log.info("sandbox request", method=entry.method, path=entry.path, status=response.status)
    return response


async def _answer(request: web.Request, handler: Handler, state: SandboxState) -> web.StreamResponse:
    faults: list[Fault] = []
    try:
        if request.path.startswith("/api/"):
            faults = state.faults.pick(request.method, request.path)
            await strike(request, faults, after=False)
            _check(request, state)
        response = await handler(request)
    except web.HTTPNotFound:
        raise ApiError(404, "not found") from None
    except web.HTTPMethodNotAllowed as error:
        raise ApiError(405, "method not allowed", {"Allow": error.headers["Allow"]}) from None
    except StatusBrokenError:
        raise ApiError(500, "internal error") from None
    except web.HTTPException as error:
        raise ApiError(error.status, error.reason.lower()) from None
    await strike(request, faults, after=True)
    return response


def _check(request: web.Request, state: SandboxState) -> None:
    """Who calls: a device, a user, or whoever on the few open paths. Fails closed for every other `/api/` path."""
    path = request.path
    if path in {AUTH_REQUESTS, useradm_api.LOGIN} or path.startswith(updates_api.DOWNLOAD):
        return
    if path.startswith("/api/devices/"):
        request[DEVICE] = auth_api.check_device(state, request.headers.get("Authorization"))
    elif path.startswith("/api/management/"):
        request[SESSION] = useradm_api.check_user(state, request)
    else:
        raise ApiError(404, "not found")


def _tls_context(pair: Pair, chain_pem: bytes) -> ssl.SSLContext:
    """TLS 1.2 or better. Python reads keys from files only: a private folder that is gone at once."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        path = Path(folder, "pair.pem")
        path.touch(mode=0o600)
        path.write_bytes(pair.key_pem + pair.certificate_pem + chain_pem)
        context.load_cert_chain(path)
    return context
