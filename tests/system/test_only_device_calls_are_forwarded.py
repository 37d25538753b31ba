"""Paths other than `/api/devices/` never reach upstream: `/status` is answered here, the rest is 404."""

from pathlib import Path

import pytest

from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.upstream import Upstream

OTHERS = [
    "/",
    "/foo",
    "/api/management/v1/useradm/auth/login",
    "/api/management/v2/devauth/devices",
    "/api/internal/v1/gateway/alive",
    "/api/devices",
    "/api/devicesx/v1/",
    "/API/DEVICES/v1/inventory/device/attributes",
    "/api/devices/../management/v2/devauth/devices",
    "/api/devices/v1/..%2f..%2fmanagement/v2/devauth/devices",
    "/api/devices/%2e%2e/management/v2/devauth/devices",
    "/api/devices/v1/%252e%252e/%252e%252e/management/v2/devauth/devices",
    "/api/devices/v1/..;/..;/management/v2/devauth/devices",
    "/api/devices/..\\management\\v2\\devauth\\devices",
    "//api/management/v2/devauth/devices",
    "/status/",
]


async def test_other_paths_are_answered_here(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        status = await ask(gateway.port, context, request("/status"))
        assert (status.status, status.json) == (200, {"status": "ok"})
        assert status.headers["content-type"] == "application/json"
        for path in OTHERS:
            answer = await ask(gateway.port, context, request(path))
            assert answer.status in {400, 404}, path
            assert set(answer.json) == {"error", "request_id"}, path
            assert answer.json["request_id"] == answer.headers.get("x-men-requestid", answer.json["request_id"])
            assert len(answer.json["request_id"]) == 36
            assert "server" not in answer.headers
        assert upstream.requests == []


@pytest.mark.parametrize("line", ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost: x\r\n\r\n"])
async def test_mender_docs_own_check_is_answered(tmp_path: Path, line: str) -> None:
    """Mender's documentation checks a gateway with a bare HTTP/1.0 request."""
    pki = Pki(tmp_path)
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        answer = await ask(gateway.port, pki.client_context(pki.device()), line.encode())
    assert (answer.status, answer.json["error"]) == (404, "not found")
