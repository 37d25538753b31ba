"""The decision service: one process beside Envoy, with the decision endpoint and the admin listener."""

import asyncio
import datetime as dt
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from mtls_ambassador.decide.enrol import Rules
from mtls_ambassador.decide.identity_template import IdentityTemplate
from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.envoy.process import Admin
from mtls_ambassador.flows import observations
from mtls_ambassador.flows.credentials_watch import CredentialsWatch
from mtls_ambassador.flows.denial_journal import DenialJournal
from mtls_ambassador.flows.denied_certificates import DeniedCertificates
from mtls_ambassador.flows.enrol_device import EnrolDevice
from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.flows.live import Live
from mtls_ambassador.flows.private_socket import private_socket
from mtls_ambassador.flows.store_denials import StoreWatch
from mtls_ambassador.flows.traces import tracing
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.settings import BindingMode, Listen, Settings
from mtls_ambassador.settings.load import Loaded
from mtls_ambassador.store.database import Database, open_database
from mtls_ambassador.web import admin, decision
from mtls_ambassador.web.access.tls import AdminTls, admin_tls
from mtls_ambassador.web.context import Context, Readiness
from mtls_ambassador.web.costly import Costly
from mtls_ambassador.web.metrics import Metrics

log = structlog.get_logger("service")
MAX_HEADER = 128 * 1024
"""Bytes of one header: the certificate, URL-encoded, and what Envoy has let through are never longer."""
LOOK_AT_FILE = 0.5
"""Seconds between two looks whether the store's file is still the one that was opened."""
SHUTDOWN_WITHIN = 8.0
"""Seconds for auth requests under way when the service ends."""


async def serve(loaded: Loaded, paths: RuntimePaths, files: tuple[Path, ...], reload: Callable[[], Settings]) -> None:
    """Serve until SIGTERM; when one of the files changes, `reload` has the settings with what is in it now.
    SIGUSR1 turns readiness off and nothing else: devices are still served while Envoy drains.

    Raises AmbassadorError when the store or a listener cannot be opened, or the store has lost denials.
    """
    settings = loaded.settings
    draining, ended = _signals()
    metrics, tls = Metrics(), admin_tls(settings)
    with open_database(settings.store) as database:
        async with tracing(settings) as traces, MenderClient.open(settings, traces) as mender:
            denied = DeniedCertificates(paths.denied)
            enrol = EnrolDevice(mender, database, rules_of(settings), settings.limits, _now, denied)
            metrics.waiting.set_function(lambda: enrol.waiting)
            mender.transport.on_call, database.on_commit = metrics.called, metrics.committed
            mender.transport.on_own_call = _log_own_call

            async def readiness() -> Readiness:
                return await _readiness(draining, database, paths)

            credentials = CredentialsWatch(mender, files, reload, _now)

            def inputs() -> list[InputState]:
                return [*_inputs(paths), credentials.state, *([tls.state] if tls else [])]

            live, ledger = Live(), enrol.ledger
            ledger.live = live
            metrics.show_ledger(ledger)
            costly = Costly(database)
            context = Context(loaded, paths, database, mender, denied, live, metrics, readiness, inputs, _now, costly)
            watch = StoreWatch(database, DenialJournal(settings.state_dir), paths.store_denials, _now)
            await watch.begin()  # before the socket is there, which tells the supervisor that it may go on
            async with (
                serving(admin.make_app(context)) as admin_runner,
                serving(decision.make_app(enrol, metrics, traces)) as decision_runner,
                observations.listening(ledger, paths.observations),
                asyncio.TaskGroup() as tasks,
            ):
                await _listen(admin_runner, settings.admin_listen, "MTLS_ADMIN_LISTEN", tls)
                with private_socket(paths.decision_socket):
                    await web.UnixSite(decision_runner, str(paths.decision_socket), backlog=4096).start()
                works = [each.keep() for each in (watch, credentials, tls) if each is not None]
                works += [
                    ledger.keep(database, settings.limits),
                    observations.count_calls(ledger, Admin(paths.admin_socket)),
                    _end_when_replaced(database, ended),
                ]
                watching = [tasks.create_task(work) for work in works]
                await ended.wait()
                for task in watching:
                    task.cancel()
                await _write_last(ledger, database)  # while the supervisor can hear that it stands there
            await _write_last(ledger, database)


def _log_own_call(call: str, outcome: str, request_id: str) -> None:
    log.info("called Mender", call=call, outcome=outcome, request_id=request_id)


async def _end_when_replaced(database: Database, ended: asyncio.Event) -> None:
    """Another file in the store's place, such as a backup, is taken up as at any start: checked, then used.

    So this one ends, and the supervisor starts the next one.
    """
    while not database.is_replaced:  # noqa: ASYNC110 - a file has no event
        await asyncio.sleep(LOOK_AT_FILE)
    log.error("the database's file was replaced, starting again with the one that is there")
    ended.set()


async def _write_last(ledger: Ledger, database: Database) -> None:
    """What waits when the service ends."""
    try:
        await ledger.write(database)
    except RefusedError as error:
        log.error("ledger not written", error=str(error))  # noqa: TRY400 - no traceback


def _inputs(paths: RuntimePaths) -> list[InputState]:
    """What the supervisor says of the files it watches; nothing while it has not said it yet."""
    try:
        return list(map(InputState.from_json, json.loads(paths.inputs.read_text())))
    except (OSError, ValueError, KeyError, TypeError):
        return []


def rules_of(settings: Settings) -> Rules:
    """The enrolment rule's choices."""
    binding = settings.identity_binding
    template = IdentityTemplate.parse(binding.template) if binding.mode is BindingMode.TEMPLATE else None
    return Rules(settings.key_binding, binding.mode, template, settings.skip_client_expiry)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    draining, ended = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, draining.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return draining, ended


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[web.AppRunner]:
    """An application made ready to be listened with, and shut down at the end of the block."""
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_WITHIN,
        handle_signals=False,
        auto_decompress=False,  # the signature covers the bytes as they came
        max_line_size=MAX_HEADER,
        max_field_size=MAX_HEADER,
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, listen: Listen, setting: str, tls: AdminTls | None) -> None:
    context = tls.context if tls else None
    try:
        await web.TCPSite(runner, listen.host or None, listen.port, ssl_context=context).start()
    except OSError as error:
        raise AmbassadorError(f"{setting}: cannot listen on {listen}: {error.strerror}") from error


async def _readiness(draining: asyncio.Event, database: Database, paths: RuntimePaths) -> Readiness:
    parts = {"store": "ok", "envoy": "ok"}
    try:
        await database.run(lambda c: c.exec_driver_sql("SELECT 1"))
    except RefusedError as error:
        parts["store"] = str(error)
    if not await Admin(paths.admin_socket).is_ready():
        parts["envoy"] = "not ready"
    if draining.is_set():
        parts["draining"] = "no new devices are taken"
    return Readiness(parts)
