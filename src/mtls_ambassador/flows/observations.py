"""What Envoy says of connections, as the supervisor hands it over: read line by line, each bounded, none believed."""

import asyncio
import datetime as dt
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from mtls_ambassador.envoy.listener import CONNECTION_KEY, DENIED_KEY, HANDSHAKE_KEY
from mtls_ambassador.envoy.process import Admin
from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.flows.private_socket import private_socket
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.fleet_view import Contact
from mtls_ambassador.model.refusal import CallCause, HandshakeCause, Refusal, RefusalKind
from mtls_ambassador.pki.parse import device_certificate

LONGEST_LINE = 1024 * 1024
LOST_KEY = "lost"
ASK_EVERY = 10.0
"""Seconds between two questions for Envoy's counters."""
COUNTERS = {"http.devices.downstream_rq_total": "calls", "listener.devices.ssl.handshake": "connections"}
"""Envoy's names and ours; a connection counts once its handshake was good."""
UPTIME = "server.uptime"
LONGEST_PEM = 64 * 1024
"""Characters; of a longer one is kept what Envoy says of it."""
TEXTS = 1024
"""Characters of one text."""
TURN = 0.001
"""Seconds that lines are read without a look at whatever else waits."""


def observe(ledger: Ledger, line: bytes) -> None:
    """Note one line. One that is none of ours counts as lost: nothing in it is guessed at."""
    ledger.taken += 1
    try:
        fields = json.loads(line)
        now = ledger.now()
        if HANDSHAKE_KEY in fields:
            ledger.refused(_handshake(fields, now))
        elif DENIED_KEY in fields:
            cause = CallCause.of(_text(fields, DENIED_KEY)).code
            ledger.refused(Refusal(now, now, RefusalKind.CALL, cause, **_presented(fields)))
        elif CONNECTION_KEY in fields:
            _met(ledger, fields, now)
        else:
            ledger.lost += int(fields[LOST_KEY])
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        ledger.lost += 1


def _handshake(fields: dict[str, Any], now: dt.datetime) -> Refusal:
    said = _text(fields, HANDSHAKE_KEY)
    return Refusal(now, now, RefusalKind.HANDSHAKE, HandshakeCause.of(said).code, said[:200], **_presented(fields))


def _presented(fields: dict[str, Any]) -> dict[str, Any]:
    """The certificate as we write it where it can be read, else as Envoy does; empty texts for none."""
    found: dict[str, Any] = {
        "address": address_of(_text(fields, "address")),
        "tls_version": _text(fields, "tls")[:8],
        "serial": _text(fields, "serial").lower().lstrip("0"),
        "subject": _text(fields, "subject"),
        "issuer": _text(fields, "issuer"),
        "fingerprint_sha256": _text(fields, "fingerprint"),
    }
    pem = fields.get("certificate")
    if isinstance(pem, str) and 0 < len(pem) <= LONGEST_PEM:
        try:
            # Not remembered as those of good devices are: anyone can show thousands of large ones.
            shown = device_certificate(unquote_to_bytes(pem))
        except ValueError:
            return found
        found |= {"serial": shown.serial_hex, "subject": shown.subject[:TEXTS], "issuer": shown.issuer[:TEXTS]}
        found |= {"spki_sha256": shown.spki_sha256, "fingerprint_sha256": shown.fingerprint_sha256}
    return found


def _met(ledger: Ledger, fields: dict[str, Any], now: dt.datetime) -> None:
    shown = _presented(fields)
    if not shown["fingerprint_sha256"]:
        ledger.refused(Refusal(now, now, RefusalKind.HANDSHAKE, HandshakeCause.HUNG_UP.code, address=shown["address"]))
    else:
        names = ("fingerprint_sha256", "serial", "subject", "issuer", "address", "tls_version")
        known = {name: shown[name] for name in names}
        ledger.met(Contact(**known, first_at=now, at=now, connections=1))


def address_of(text: str) -> str:
    """Without the port, and without what IPv6 sockets put before an IPv4 address."""
    host = text.rpartition(":")[0].strip("[]")
    return host.removeprefix("::ffff:")[:64]


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value[:TEXTS] if isinstance(value, str) and value != "-" else ""


async def _observe_all(ledger: Ledger, reader: asyncio.StreamReader) -> None:
    began = time.perf_counter()
    try:
        while line := await reader.readline():
            observe(ledger, line)
            if time.perf_counter() - began > TURN:
                await asyncio.sleep(0)  # auth requests come first
                began = time.perf_counter()
    except ValueError:  # longer than any line of ours
        ledger.lost += 1


@asynccontextmanager
async def listening(ledger: Ledger, path: Path) -> AsyncIterator[None]:
    """Take what the supervisor hands over on this socket, which only this user may connect to.

    It is told how many of its lines stand in the store, so that it knows what is lost when this service dies.
    """
    open_now: set[asyncio.StreamWriter] = set()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(_tell_written(ledger, writer))
                await _observe_all(ledger, reader)
                telling.cancel()
        finally:
            open_now.discard(writer)
            writer.close()

    with private_socket(path):
        server = await asyncio.start_unix_server(read, path, limit=LONGEST_LINE)
    try:
        yield
    finally:
        server.close()
        for writer in open_now:  # or its reader is cancelled with the loop, which asyncio logs with a traceback
            writer.close()


async def _tell_written(ledger: Ledger, writer: asyncio.StreamWriter) -> None:
    """One line for each time that the ledger was written: how many lines of this connection are in it."""
    before = told = ledger.taken
    while True:
        await ledger.news.wait()
        if ledger.written > told:
            told = ledger.written
            writer.write(b"%d\n" % (told - before))


async def count_calls(ledger: Ledger, admin: Admin) -> None:
    """Ask Envoy for ever how many calls and connections there were; it counts from 0 again when it was restarted.

    Envoy begins after this service does: when it is there already, the service was restarted, and an earlier one has
    written down what Envoy has counted so far.
    """
    clock = asyncio.get_running_loop().time
    began, before = clock(), await _counters(admin)
    while True:
        await asyncio.sleep(ASK_EVERY)
        if not (now := await _counters(admin)):
            continue
        if not before and now.get(UPTIME, 0) > clock() - began + ASK_EVERY:
            before = now  # it was there before us, and only did not answer at first
        for name, kind in COUNTERS.items():
            was, value = before.get(name, 0), now.get(name, 0)
            ledger.counted(kind, value - was if value >= was else value)
        before = now


async def _counters(admin: Admin) -> dict[str, int]:
    """Nothing while Envoy does not answer."""
    try:
        return await admin.counters([*COUNTERS, UPTIME])
    except AmbassadorError:
        return {}
