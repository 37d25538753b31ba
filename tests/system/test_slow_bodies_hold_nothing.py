"""A device that drips its auth requests keeps no connection to the decision service from the other devices."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

from support.client import PATIENCE, ask, parse, request
from support.gateway import STUB, Gateway
from support.pki import Pki

AUTH = "/api/devices/v1/authentication/auth_requests"
PATHS = (AUTH, f"{AUTH}/")
DRIPPING = 12
FEW = {"MTLS_UPSTREAM_MAX_CONNECTIONS": "2"}


def abort(writer: asyncio.StreamWriter) -> None:
    """Leave at once; until then this keeps the writer, whose end would end the connection."""
    writer.transport.abort()


async def drip(stack: AsyncExitStack, port: int, context: ssl.SSLContext, path: str) -> asyncio.StreamReader:
    """Send all of a request but the last byte of its body, and stay."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    stack.callback(abort, writer)
    writer.write(request(path, method="POST", body=b"{}")[:-1])
    await writer.drain()
    return reader


async def test_another_device_is_answered(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    slow, other = pki.client_context(pki.device("slow")), pki.client_context(pki.device("other"))
    async with (
        Gateway.running(pki, "http://127.0.0.1:9", command=STUB, environ=FEW) as gateway,
        AsyncExitStack() as stack,
    ):
        for number in range(DRIPPING):
            await drip(stack, gateway.port, slow, PATHS[number % len(PATHS)])
        for path in PATHS:
            answer = await ask(gateway.port, other, request(path, method="POST", body=b"{}"))
            assert (answer.status, answer.json["bytes"]) == (200, 2)


async def test_a_body_that_never_ends_is_let_go(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    environ = FEW | {"MTLS_UPSTREAM_TIMEOUT": "1"}
    async with (
        Gateway.running(pki, "http://127.0.0.1:9", command=STUB, environ=environ) as gateway,
        AsyncExitStack() as stack,
    ):
        reader = await drip(stack, gateway.port, context, AUTH)
        async with asyncio.timeout(2 * PATIENCE):
            answer = parse(await reader.read())
        assert (answer.status, answer.json["error"]) == (408, "request timeout")


async def test_a_body_too_large_for_any_auth_request_is_refused_as_it_comes(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        answer = await ask(gateway.port, context, request(AUTH, method="POST", body=b" " * 65_537))
        assert (answer.status, answer.json["bytes"]) == (200, 65_537), "the service's own rule sees one byte too many"
        endless = request(AUTH, "Transfer-Encoding: chunked", method="POST") + b"20000\r\n" + b" " * 0x20000
        answer = await ask(gateway.port, context, endless)
        assert (answer.status, answer.json["error"]) == (413, "request entity too large")
        assert answer.json["request_id"] == answer.headers["x-men-requestid"]


async def test_the_service_receives_what_was_sent(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        plain = await ask(gateway.port, context, request(AUTH, method="POST", body=b"abc"))
        chunks = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        chunked = await ask(gateway.port, context, request(AUTH, "Transfer-Encoding: chunked", method="POST") + chunks)
        for answer in (plain, chunked):
            names = [name.lower() for name, _ in answer.json["headers"]]
            assert answer.json["bytes"] == 3
            assert ("content-length" in names, "transfer-encoding" in names) == (True, False)
