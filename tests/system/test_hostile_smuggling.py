"""No bytes of a device pass two requests for one: what reaches upstream can be read in one way only, call by call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from ssl import SSLContext

import pytest
import pytest_asyncio

from support.client import PATIENCE, ask, request
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.raw_upstream import RawUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")
OPEN, DECIDED = "/api/devices/v1/attack", "/api/devices/v1/authentication/auth_requests"
VICTIM = "/api/devices/v1/victim"
CALLS = [f"{VICTIM}?victim-{number}" for number in range(50)]
PAUSE = 0.4
HIDDEN = "GET /api/management/v2/hidden HTTP/1.1\r\nHost: x\r\nX-A: "
INSIDE = f"0\r\n\r\n{HIDDEN}"
ENDED = "HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*headers: str, body: str = INSIDE) -> str:
    """A POST with just these headers."""
    return "\r\n".join(["POST PATH HTTP/1.1", "Host: gateway", *headers, "", ""]) + body


def chunked(body: str, coding: str = "Transfer-Encoding: chunked") -> str:
    return post(coding, body=body)


LENGTH, CODING = f"Content-Length: {len(INSIDE)}", "Transfer-Encoding: chunked"
SHORT = "Content-Length: 4"
TWO_IN_ONE = f"5c\r\n{HIDDEN}" + "x" * (0x5C - len(HIDDEN)) + "\r\n0\r\n\r\n"
ATTACKS = {
    # Front and back disagree which of two lengths counts.
    "cl.te": post(LENGTH, CODING),
    "te.cl": post(SHORT, CODING, body=TWO_IN_ONE),
    "te.cl, http/1.0": post(SHORT, CODING, body=TWO_IN_ONE).replace("HTTP/1.1", "HTTP/1.0", 1),
    "cl.0": post("Content-Length: 0", CODING),
    # A Transfer-Encoding that one side does not know.
    **{
        f"te.te, {name}": post(LENGTH, header)
        for name, header in {
            "xchunked": "Transfer-Encoding: xchunked",
            "space before colon": "Transfer-Encoding : chunked",
            "tab": "Transfer-Encoding:\tchunked",
            "vertical tab": "Transfer-Encoding:\x0bchunked",
            "leading space": " Transfer-Encoding: chunked",
            "in another's value": "X: x\nTransfer-Encoding: chunked",
            "bare CR": "X: x\rTransfer-Encoding: chunked",
            "folded": "Transfer-Encoding:\r\n chunked",
            "upper case": "TRANSFER-ENCODING: CHUNKED",
            "quoted": 'Transfer-Encoding: "chunked"',
            "identity first": "Transfer-Encoding: identity, chunked",
            "chunked first": "Transfer-Encoding: chunked, identity",
            "twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "twice, other": "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            "comma": "Transfer-Encoding: chunked,",
            "parameter": "Transfer-Encoding: chunked;q=1",
            "NUL": "Transfer-Encoding: chunked\0",
            "underscore": "Transfer_Encoding: chunked",
            "high byte": "Transfer-Encoding: \xffchunked",
            "name with NUL": "Transfer-Encoding\0: chunked",
            "by Connection": "Connection: Content-Length\r\nTransfer-Encoding: chunked",
        }.items()
    },
    "te alone, xchunked": post("Transfer-Encoding: xchunked"),
    "te alone, identity": post("Transfer-Encoding: identity"),
    "te alone, gzip and chunked": post("Transfer-Encoding: gzip, chunked"),
    "te in upper case alone": chunked(TWO_IN_ONE, "TRANSFER-ENCODING: CHUNKED"),
    # Lengths.
    **{
        f"length, {name}": post(header)
        for name, header in {
            "two that differ": f"Content-Length: 0\r\n{LENGTH}",
            "two alike": f"{LENGTH}\r\n{LENGTH}",
            "list": f"Content-Length: 0, {len(INSIDE)}",
            "list alike": f"Content-Length: {len(INSIDE)}, {len(INSIDE)}",
            "plus": f"Content-Length: +{len(INSIDE)}",
            "minus": "Content-Length: -1",
            "minus zero": "Content-Length: -0",
            "hex": "Content-Length: 0x10",
            "space inside": "Content-Length: 1 0",
            "space before colon": f"Content-Length : {len(INSIDE)}",
            "folded": f"Content-Length:\r\n {len(INSIDE)}",
            "leading zeros": f"Content-Length: 000{len(INSIDE)}",
            "empty": "Content-Length:",
            "over 64 bits": f"Content-Length: {2**64 + len(INSIDE)}",
            "float": "Content-Length: 1.0",
            "underscore": "Content_Length: 0",
            "full width": "Content-Length: \xef\xbc\x91",
            "NUL": "Content-Length: 0\0",
        }.items()
    },
    # Chunks.
    **{
        f"chunk, {name}": chunked(body)
        for name, body in {
            "extension": f"1;a=b\r\nx\r\n{INSIDE}",
            "extension with LF": f"1;a=\nx\r\nx\r\n{INSIDE}",
            "extension with a request": f'1;a="\r\n\r\n{HIDDEN}"\r\nx\r\n{INSIDE}',
            "hex prefix": f"0x1\r\nx\r\n{INSIDE}",
            "minus": f"-1\r\nx\r\n{INSIDE}",
            "plus": f"+1\r\nx\r\n{INSIDE}",
            "space": f"1 \r\nx\r\n{INSIDE}",
            "leading space": f" 1\r\nx\r\n{INSIDE}",
            "over 64 bits": f"{2**64 + 1:x}\r\nx\r\n{INSIDE}",
            "over 32 bits": f"{2**32 + 1:x}\r\nx\r\n{INSIDE}",
            "no size": f"\r\nx\r\n{INSIDE}",
            "bare LF": f"1\nx\n0\n\n{HIDDEN}",
            "bare CR": f"1\rx\r0\r\r{HIDDEN}",
            "too long": f"1\r\nxyz\r\n{INSIDE}",
            "two bytes for its end": f"1\r\nxXX0\r\n\r\n{HIDDEN}",
            "upper case, leading zeros": f"000A\r\n{'x' * 10}\r\n{INSIDE}",
            "underscore": f"1_0\r\n{'x' * 16}\r\n{INSIDE}",
            "trailer that sets a length": f"1\r\nx\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\n\r\n{HIDDEN}",
            "trailer without colon": f"1\r\nx\r\n0\r\nGET /api/management/v2/hidden {ENDED}",
        }.items()
    },
    # Lines and names.
    "bare LF all over": f"POST PATH HTTP/1.1\nHost: gateway\nContent-Length: {len(INSIDE)}\n\n{INSIDE}",
    "bare LF in the head's end": f"GET PATH HTTP/1.1\r\nHost: gateway\r\n\n{HIDDEN}",
    "bare CR in the head's end": f"GET PATH HTTP/1.1\r\nHost: gateway\r\r\n{HIDDEN}",
    "CR LF before the request": "\r\n\r\n\r\n" + post(LENGTH),
    "space in a header's name": post("X A: 1", LENGTH),
    "header without colon": post("Nonsense", LENGTH),
    "empty header name": post(": x", LENGTH),
    "NUL in a value": post("X: a\0b", LENGTH),
    "NUL in a name": post("X\0: a", LENGTH),
    "request line folded": f"GET\r\n PATH HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}",
    "request line with a request": f"GET PATH HTTP/1.1\rHost: x\r\r{HIDDEN}",
    "space in the target": f"GET PATH HTTP/1.1 x HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}",
    "tab in the target": f"GET PATH\tHTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}",
    "escaped CR LF in the target": f"GET PATH%20HTTP/1.1%0d%0aX:%20x%0d%0a%0d%0a HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}",
    "high bytes in the target": f"GET PATH\xe5\x98\x8d\xe5\x98\x8a HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}",
    "HTTP/0.9": f"GET PATH\r\n\r\n{HIDDEN}",
    "HTTP/1.2": post(LENGTH).replace("HTTP/1.1", "HTTP/1.2", 1),
    "HTTP/9.1": post(LENGTH).replace("HTTP/1.1", "HTTP/9.1", 1),
    "http in lower case": post(LENGTH).replace("HTTP/1.1", "http/1.1", 1),
    "two hosts": post("Host: other", LENGTH),
    "host with a request": f"GET PATH HTTP/1.1\r\nHost: x\ty\r\n\r\n{HIDDEN}",
    # What turns a body into something else.
    "body of a GET": post(LENGTH).replace("POST", "GET", 1),
    "body of a HEAD": post(LENGTH).replace("POST", "HEAD", 1),
    "body of a TRACE": post(LENGTH).replace("POST", "TRACE", 1),
    "upgrade to h2c": post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", LENGTH),
    "upgrade and a length": post("Connection: Upgrade", "Upgrade: websocket", LENGTH),
    "upgrade, chunked": post("Connection: Upgrade", "Upgrade: websocket", CODING),
    "expect, and no wait": post("Expect: 100-continue", LENGTH),
    "expect something else": post("Expect: 200-ok", LENGTH),
    "h2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
}


GOOD = "plain, and nothing hidden"
ALL = {GOOD: post("Content-Length: 2", body="ok")} | ATTACKS


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of all attacks, each on a connection of its own, all at once."""

    port: int
    upstream: RawUpstream
    decided: dict[str, int]
    """Calls the decision service answered, by attack."""
    victims: list[bytes]
    """What another device was answered afterwards, call by call."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    pki = Pki(tmp_path_factory.mktemp("pki"))
    attacker, victim = (pki.client_context(pki.device(name)) for name in ("attacker", "victim"))
    async with (
        RawUpstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        work = [send(gateway.port, attacker, raw(attack, path)) for attack in ALL for path in (OPEN, DECIDED)]
        answers = await asyncio.gather(*work)
        decided = {attack: answer.count(b'"decision"') for attack, answer in zip(ALL, answers[1::2], strict=True)}
        victims = [(await ask(gateway.port, victim, request(target))).body for target in CALLS]
        yield Seen(upstream.port, upstream, decided, victims)


def raw(attack: str, path: str) -> bytes:
    return ALL[attack].replace("PATH", target_of(attack, path)).encode("latin1")


def target_of(attack: str, path: str) -> str:
    """By the number at its end it is known which attack a request came of."""
    return f"{path}?{list(ALL).index(attack):03d}"


async def send(port: int, context: SSLContext, data: bytes) -> bytes:
    """Send it all, and after a pause the end of what is hidden; what was answered within a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    answered = b""
    try:
        for part in (data, b"x\r\n\r\n"):
            writer.write(part)
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    while block := await reader.read(2**16):
                        answered += block
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return answered


@pytest.mark.parametrize("attack", ATTACKS)
async def test_nothing_hidden_arrives(seen: Seen, attack: str) -> None:
    target = target_of(attack, OPEN)
    assert [each.target for each in seen.upstream.requests if each.target[-3:] == target[-3:]] in ([], [target])
    assert seen.decided[attack] <= 1


async def test_what_is_plain_arrives(seen: Seen) -> None:
    """Or the rest would prove nothing."""
    assert target_of(GOOD, OPEN) in {each.target for each in seen.upstream.requests}
    assert seen.decided[GOOD] == 1


async def test_all_that_arrives_is_the_gateways_own_and_plain(seen: Seen) -> None:
    assert seen.upstream.faults == []
    for each in seen.upstream.requests:
        assert each.target.startswith((OPEN, VICTIM)), each
        assert each.values("host") == [f"127.0.0.1:{seen.port}"], each
        assert each.values("x-forwarded-for") == ["127.0.0.1"], each


async def test_another_device_gets_its_own_answers(seen: Seen) -> None:
    assert seen.victims == [f"GET {target}".encode() for target in CALLS]


@pytest.mark.parametrize("attack", ["cl.te", "chunk, extension", "te.te, bare CR", "bare LF all over"])
async def test_without_the_gateway_they_would_be_met(attack: str) -> None:
    async with RawUpstream.running() as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(raw(attack, OPEN))
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        writer.close()
        assert len(upstream.faults) == 1
