"""SIGTERM lets running calls end and then exits 0; a second one ends everything at once, also with 0."""

import asyncio
import signal
import ssl
import sys
from pathlib import Path

import pytest

from support.client import ask, request, until
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.upstream import Upstream

SLOW = request("/api/devices/v1/slow").replace(b"Connection: close\r\n", b"")
LONG = {"MTLS_DRAIN_TIME": "60"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_running_call_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=LONG) as gateway,
        asyncio.TaskGroup() as tasks,
    ):
        folder = gateway.runtime
        call = tasks.create_task(ask(gateway.port, context, SLOW))
        await until(lambda: bool(upstream.requests))
        gateway.signal(number)
        await gateway.event("draining")
        await until((folder / "draining").exists)
        assert (await ask(gateway.port, context, request("/status"))).status == 200
        upstream.release.set()
        answer = await call
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await gateway.exit_code() == 0
        assert not folder.exists()
    assert not gateway.events("child did not end in time, killing it")


async def test_the_drain_time_is_the_most(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(
            pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ={"MTLS_DRAIN_TIME": "1"}
        ) as gateway,
        asyncio.TaskGroup() as tasks,
    ):
        call = tasks.create_task(_broken(gateway.port, context))
        await until(lambda: bool(upstream.requests))
        gateway.signal()
        assert await gateway.exit_code() == 0
        assert await call


async def test_a_second_one_does_not_wait(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=LONG) as gateway,
        asyncio.TaskGroup() as tasks,
    ):
        folder = gateway.runtime
        call = tasks.create_task(_broken(gateway.port, context))
        await until(lambda: bool(upstream.requests))
        gateway.signal()
        await gateway.event("draining")
        gateway.signal()
        assert await gateway.exit_code() == 0
        assert await call
        assert not folder.exists()


async def test_before_it_is_ready_it_ends_too(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB, wait=False) as gateway:
        await gateway.event("starting")
        gateway.signal()
        assert await gateway.exit_code() == 0


async def _broken(port: int, context: ssl.SSLContext) -> bool:
    """Whether the call was cut off."""
    try:
        await ask(port, context, SLOW)
    except (OSError, EOFError):
        return True
    return False


AS_THE_FOLDER_IS_MADE = """
import os, signal, sys
from contextlib import contextmanager
from mtls_ambassador.cli import main
from mtls_ambassador.flows import machine

made = machine.runtime_folder

@contextmanager
def with_signal(environ):
    with made(environ) as paths:
        os.kill(os.getpid(), signal.SIGTERM)
        yield paths

machine.runtime_folder = with_signal
sys.argv[:] = ["mtls-ambassador", "run"]
sys.exit(main())
"""


async def test_one_that_comes_before_anything_runs_leaves_nothing_behind(tmp_path: Path) -> None:
    command = (sys.executable, "-c", AS_THE_FOLDER_IS_MADE)
    async with Gateway.running(Pki(tmp_path), "http://127.0.0.1:9", command=command, wait=False) as gateway:
        assert await gateway.exit_code() == 0
        assert not list(gateway.folder.glob("mtls-ambassador-*"))
        assert not gateway.events("ready")
