"""Envoy or the decision service killed under traffic is back by itself; neither takes the other's work along."""

import asyncio
import os
import signal
import ssl
from pathlib import Path

from support.client import Answer, ask, request, until
from support.gateway import PATIENCE, STUB, Gateway
from support.pki import Pki
from support.upstream import Upstream

CALL = request("/api/devices/v1/inventory/device/attributes")
AUTH = request("/api/devices/v1/authentication/auth_requests", method="POST", body=b"{}")


async def until_ok(port: int, context: ssl.SSLContext, call: bytes) -> Answer:
    """Ask again and again, as devices do, until the answer is 200."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                answer = await ask(port, context, call)
            except (OSError, EOFError):
                answer = None
            if answer and answer.status == 200:
                return answer
            await asyncio.sleep(0.02)


async def test_envoy_is_back(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        for number in (1, 2, 3):
            first = gateway.child("envoy")
            os.kill(first, signal.SIGKILL)
            await until_ok(gateway.port, context, CALL)
            assert (await gateway.event("child ended, starting it again", number))["child"] == "Envoy"
            assert gateway.child("envoy") != first
        service = (await ask(gateway.port, context, AUTH)).json["decision"]
        assert service == gateway.child("stub_gateway")


async def test_the_service_is_back_and_other_calls_never_failed(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        first = gateway.child("stub_gateway")
        os.kill(first, signal.SIGKILL)
        statuses = [(await ask(gateway.port, context, CALL)).status for _ in range(20)]
        assert statuses == [200] * 20
        again = await until_ok(gateway.port, context, AUTH)
        assert again.json["decision"] not in {first, os.getpid()}
        assert (await gateway.event("child ended, starting it again"))["child"] == "the decision service"


async def test_while_the_service_is_away_devices_are_told_when_to_come_back(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        os.kill(gateway.child("stub_gateway"), signal.SIGSTOP)
        (gateway.runtime / "decision.sock").unlink()
        answer = await ask(gateway.port, context, AUTH)
        assert (answer.status, answer.json["error"]) == (503, "service unavailable")
        assert answer.json["request_id"] == answer.headers["x-men-requestid"]
        assert int(answer.headers["retry-after"]) > 0


async def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        children = [gateway.child("envoy"), gateway.child("stub_gateway")]
        gateway.signal(signal.SIGKILL)
        await gateway.exit_code()
        await until(lambda: not any(_runs(pid) for pid in children))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
