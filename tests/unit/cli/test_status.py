"""`status` says what the gateway's admin listener does; asked at the wrong port, which port it may be."""

import asyncio
import datetime as dt
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import pytest
from aiohttp import web

from mtls_ambassador.cli import main
from mtls_ambassador.cli.status import input_line
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.web.admin import make_app
from mtls_ambassador.web.context import Readiness
from mtls_ambassador.web.service import serving
from support.admin import admin_context
from support.pki import Pki

T1, T2 = (dt.datetime(2026, 11, 28, hour, tzinfo=dt.UTC) for hour in (3, 4))


@contextmanager
def answering(context: ssl.SSLContext | None) -> Iterator[str]:
    """The address of a listener that speaks TLS, or without `context` reads and closes; for one connection."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            if context is None:
                connection.recv(4096)
            else:
                context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join()


@pytest.mark.parametrize("tls", [True, False])
def test_the_port_of_the_devices_is_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, tls: bool) -> None:
    context = None
    if tls:
        server = Pki(tmp_path).server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.certificate, server.key)
    with answering(context) as address:
        assert main(["status", "--admin", address]) == 1
    said = capsys.readouterr().err
    assert f"{address} does not speak plain HTTP" in said
    assert "MTLS_LISTEN" in said
    assert "MTLS_ADMIN_LISTEN" in said


def test_nobody_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert main(["status", "--admin", address]) == 1
    assert f"no gateway answers at {address}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entries", "fault", "since", "said"),
    [
        (None, "", None, "  CRL: in force since 2026-11-28 03:00:00"),
        (0, "", None, "  CRL: in force since 2026-11-28 03:00:00, 0 entries"),
        (7, "", None, "  CRL: in force since 2026-11-28 03:00:00, 7 entries"),
        (None, "bad", None, "  CRL: in force since 2026-11-28 03:00:00\n    FAULT: bad"),
        (
            7,
            "b\ad",
            T2,
            "  CRL: in force since 2026-11-28 03:00:00, 7 entries\n    FAULT since 2026-11-28 04:00:00: b?d",
        ),
        (7, "", T2, "  CRL: in force since 2026-11-28 03:00:00, 7 entries"),
    ],
)
def test_a_line_for_each_state_of_an_input(
    entries: int | None, fault: str, since: dt.datetime | None, said: str
) -> None:
    state = InputState("CRL", "crl.pem", T1, entries, fault, since)
    assert input_line(json.loads(json.dumps(asdict(state), default=str))) == said


async def test_all_that_the_admin_listener_says_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"envoy": "ok", "database": "ok"}
    inputs = [
        InputState("server certificate", "s.pem", T1),
        InputState("store", "db", T1, 3, "it has lost a denial"),
        InputState("CRL", "crl.pem", T1, 0, "is stale", T2),
    ]

    async def readiness() -> Readiness:
        return Readiness(parts)

    async with (
        admin_context(tmp_path, readiness=readiness, inputs=lambda: inputs) as context,
        serving(make_app(context)) as runner,
    ):
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"127.0.0.1:{runner.addresses[0][1]}"
        assert await asyncio.to_thread(main, ["status", "--admin", address]) == 0
        said = capsys.readouterr().out
        assert await asyncio.to_thread(main, ["status", "--json", "--admin", address]) == 0
        answer = json.loads(capsys.readouterr().out)
        parts["envoy"] = "stopped"
        assert await asyncio.to_thread(main, ["status", "--admin", address]) == 1
    assert said.splitlines() == [
        f"ready (admin {address})",
        "  envoy      ok",
        "  database   ok",
        "  server certificate: in force since 2026-11-28 03:00:00",
        "  store: in force since 2026-11-28 03:00:00, 3 entries",
        "    FAULT: it has lost a denial",
        "  CRL: in force since 2026-11-28 03:00:00, 0 entries",
        "    FAULT since 2026-11-28 04:00:00: is stale",
    ]
    assert answer["status"] == "degraded"
    assert capsys.readouterr().out.startswith(f"NOT READY (admin {address})\n  envoy      stopped\n")
