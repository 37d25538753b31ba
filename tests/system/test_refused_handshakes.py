"""Without a certificate of the tenant CA that is good today, the handshake fails and upstream sees nothing."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Files, Pki, validity
from support.upstream import Upstream

CASES: dict[str, tuple[Callable[[Pki], Files | None], str]] = {
    "none": (lambda _: None, "no certificate"),
    "another CA": (lambda pki: pki.stranger(), "of a CA that the gateway does not know"),
    "expired": (lambda pki: pki.device("old", dates=validity(-9, -1)), "has expired"),
    "not yet valid": (lambda pki: pki.device("new", dates=validity(1, 9)), "not valid yet"),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_device_is_refused_and_the_log_says_why(tmp_path: Path, case: str) -> None:
    make, cause = CASES[case]
    pki = Pki(tmp_path)
    context = pki.client_context(make(pki))
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await ask(gateway.port, context, request("/api/devices/v1/x"))
        line = await gateway.event("handshake refused")
        assert cause in line["cause"]
        assert line["address"].startswith("127.0.0.1:")
        assert ("serial" in line) == (case != "none")
        assert upstream.requests == []


async def test_plain_http_and_rubbish_are_refused(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        for number, (data, cause) in enumerate(
            ((b"GET / HTTP/1.1\r\n\r\n", "plain HTTP"), (b"\x00" * 64, "not TLS")), start=1
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(data)
            assert cause in (await gateway.event("handshake refused", number))["cause"]
            writer.transport.abort()


async def test_a_good_connection_leaves_no_line(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        assert (await ask(gateway.port, pki.client_context(pki.device()), request("/status"))).status == 200
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await ask(gateway.port, pki.client_context(None), request("/status"))
        await gateway.event("handshake refused")
        assert len(gateway.events("handshake refused")) == 1
