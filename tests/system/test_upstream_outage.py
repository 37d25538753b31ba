"""With upstream away, devices get 503 in Mender's shape and a time to come back; once it is there, calls pass again."""

from pathlib import Path

from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.ports import free_port
from support.upstream import Upstream

CALL = request("/api/devices/v1/x")


async def test_away_and_back(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    port = free_port()
    async with Gateway.running(pki, f"http://localhost:{port}", command=STUB) as gateway:
        waits = set()
        for _ in range(40):
            answer = await ask(gateway.port, context, CALL)
            assert (answer.status, answer.json["error"]) == (503, "service unavailable")
            assert answer.json["request_id"] == answer.headers["x-men-requestid"]
            waits.add(int(answer.headers["retry-after"]))
        assert len(waits) > 1, "a fleet must not come back as one"
        async with Upstream.running(port=port):
            assert (await ask(gateway.port, context, CALL)).status == 200
        assert (await ask(gateway.port, context, CALL)).status == 503
        async with Upstream.running(port=port):
            assert (await ask(gateway.port, context, CALL)).status == 200


async def test_a_name_that_does_not_resolve_keeps_nothing_from_starting(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with Gateway.running(pki, "https://mender.invalid", command=STUB) as gateway:
        assert (await ask(gateway.port, context, CALL)).status == 503
        assert (await ask(gateway.port, context, request("/status"))).status == 200
