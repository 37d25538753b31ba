"""What a device says in HTTP/2 becomes one plain HTTP/1.1 request or none: no byte of it starts a second one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ssl import SSLContext

import pytest
import pytest_asyncio

from support.client import ask, request
from support.gateway import STUB, Gateway
from support.http2 import DATA, END_STREAM, HEADERS, Http2, frame, headers
from support.pki import Pki
from support.raw_upstream import RawUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH, VICTIM = "/api/devices/v1/attack", "/api/devices/v1/victim"
CALLS = [f"{VICTIM}?{number}" for number in range(50)]
HIDDEN = "GET /api/management/v2/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b"0\r\n\r\n" + HIDDEN.encode()


def fields(*more: tuple[str, str], **pseudo: str) -> list[tuple[str, str]]:
    given = {"method": "POST", "scheme": "https", "authority": "gateway", "path": PATH} | pseudo
    return [*((f":{name}", value) for name, value in given.items()), *more]


def whole(*more: tuple[str, str], **pseudo: str) -> bytes:
    """A request with a body that would be a request of its own."""
    return headers(fields(*more, **pseudo), ends=False) + frame(DATA, END_STREAM, 1, BODY)


def without(name: str) -> bytes:
    return headers([field for field in fields() if field[0] != name])


SPLIT = f"x\r\n\r\n{HIDDEN}"
ATTACKS = {
    "CR LF in a value": whole(("x", SPLIT)),
    "LF in a value": whole(("x", SPLIT.replace("\r", ""))),
    "CR in a value": whole(("x", SPLIT.replace("\n", ""))),
    "NUL in a value": whole(("x", "a\0b")),
    "CR LF in a name": whole((f"x: y\r\n\r\n{HIDDEN.lower()}", "z")),
    "LF in a name": whole(("x: y\ntransfer-encoding", "chunked")),
    "colon in a name": whole(("transfer-encoding: chunked\r\nx", "y")),
    "colon alone in a name": whole(("content-length: 0", "x")),
    "space in a name": whole(("transfer-encoding ", "chunked")),
    "upper case in a name": whole(("Transfer-Encoding", "chunked")),
    "empty name": whole(("", "x")),
    "CR LF in the path": whole(path=f"{PATH} HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}"),
    "LF in the path": whole(path=f"{PATH}\nx"),
    "space in the path": whole(path=f"{PATH} HTTP/1.1"),
    "tab in the path": whole(path=f"{PATH}\tHTTP/1.1"),
    "NUL in the path": whole(path=f"{PATH}\0"),
    "high byte in the path": whole(path=f"{PATH}\xff"),
    "empty path": whole(path=""),
    "path without slash": whole(path="api/devices/v1/attack"),
    "absolute path": whole(path=f"https://other{PATH}"),
    "path is a star": whole(path="*", method="OPTIONS"),
    "fragment in the path": whole(path=f"{PATH}#/../../management"),
    "CR LF in the method": whole(method=f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\nGET"),
    "space in the method": whole(method="GET /api/management/v2/hidden HTTP/1.1"),
    "empty method": whole(method=""),
    "CR LF in the authority": whole(authority=SPLIT),
    "space in the authority": whole(authority="gateway x"),
    "user in the authority": whole(authority="a@gateway"),
    "slash in the authority": whole(authority="gateway/api/management/"),
    "CR LF in the scheme": whole(scheme=SPLIT),
    "path in the scheme": whole(scheme="https://other/api/management?"),
    "http in the scheme": whole(scheme="http"),
    "length of nothing": whole(("content-length", "0")),
    "length too short": whole(("content-length", "4")),
    "length too long": whole(("content-length", str(len(BODY) + 9))),
    "length twice": whole(("content-length", "0"), ("content-length", str(len(BODY)))),
    "length in a list": whole(("content-length", f"0, {len(BODY)}")),
    "length with plus": whole(("content-length", f"+{len(BODY)}")),
    "length with minus": whole(("content-length", "-1")),
    "length in hex": whole(("content-length", hex(len(BODY)))),
    "length and no body": headers(fields(("content-length", "50"))),
    "transfer-encoding": whole(("transfer-encoding", "chunked")),
    "transfer-encoding and length": whole(("transfer-encoding", "chunked"), ("content-length", "4")),
    "te": whole(("te", "chunked")),
    "connection": whole(("connection", "content-length, x-forwarded-for")),
    "keep-alive": whole(("keep-alive", "timeout=5")),
    "proxy-connection": whole(("proxy-connection", "keep-alive")),
    "upgrade": whole(("upgrade", "websocket"), ("connection", "upgrade")),
    "host beside authority": whole(("host", "other")),
    "two hosts": whole(("host", "a"), ("host", "b")),
    "path twice": headers([*fields(), (":path", "/api/management/v2/hidden")]),
    "method twice": headers([*fields(), (":method", "DELETE")]),
    "pseudo header after another": headers([(("x", "y")), *fields()]),
    "unknown pseudo header": headers([*fields(), (":status", "200")]),
    "no method": without(":method"),
    "no path": without(":path"),
    "no scheme": without(":scheme"),
    "no authority": without(":authority"),
    "CONNECT": headers([(":method", "CONNECT"), (":authority", "127.0.0.1:9")]),
    "extended CONNECT": headers(fields((":protocol", "websocket"), method="CONNECT")),
    "extended CONNECT, other": headers(fields((":protocol", "connect-udp"), method="CONNECT")),
    "trailers with a length": headers(fields(), ends=False) + headers([("content-length", "99")]),
    "trailers with CR LF": headers(fields(), ends=False) + headers([("x", SPLIT)]),
    "trailers with a path": headers(fields(), ends=False) + headers([(":path", "/api/management/v2/hidden")]),
    "cookies that split": whole(("cookie", "a=b"), ("cookie", f"c=d\r\n\r\n{HIDDEN}")),
}


GOOD = "plain"
ALL = {GOOD: whole(("content-length", str(len(BODY))))} | ATTACKS


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of all attacks, each on a connection of its own, all at once."""

    port: int
    upstream: RawUpstream
    answers: dict[str, int]
    """By attack."""
    victims: list[bytes]
    """What another device was answered afterwards, call by call."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    pki = Pki(tmp_path_factory.mktemp("pki"))
    attacker, victim = (pki.client_context(pki.device(name)) for name in ("attacker", "victim"))
    attacker.set_alpn_protocols(["h2"])
    async with (
        RawUpstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        answers = await asyncio.gather(*(send(gateway.port, attacker, attack) for attack in ALL))
        victims = [(await ask(gateway.port, victim, request(target))).body for target in CALLS]
        yield Seen(upstream.port, upstream, dict(zip(ALL, answers, strict=True)), victims)


def target_of(attack: str) -> str:
    """As long as PATH, so that it can take its place in a frame."""
    return PATH.replace("attack", f"at{list(ALL).index(attack):04d}")


async def send(port: int, context: SSLContext, attack: str) -> int:
    """The number of answers."""
    async with Http2.to(port, context) as connection:
        connection.writer.write(ALL[attack].replace(PATH.encode(), target_of(attack).encode()))
        return sum(each.kind == HEADERS for each in await connection.until_over())


@pytest.mark.parametrize("attack", ATTACKS)
async def test_at_most_one_request_arrives(seen: Seen, attack: str) -> None:
    target = target_of(attack)
    assert [each.target for each in seen.upstream.requests if target[-6:] in each.target] in ([], [target])
    assert seen.answers[attack] <= 1


async def test_what_is_plain_arrives(seen: Seen) -> None:
    """Or the rest would prove nothing."""
    assert target_of(GOOD) in {each.target for each in seen.upstream.requests}
    assert seen.answers[GOOD] == 1


async def test_all_that_arrives_is_the_gateways_own_and_plain(seen: Seen) -> None:
    assert seen.upstream.faults == []
    for each in seen.upstream.requests:
        assert each.target.startswith("/api/devices/v1/"), each
        assert each.values("host") == [f"127.0.0.1:{seen.port}"], each
        assert each.values("x-forwarded-for") == ["127.0.0.1"], each


async def test_another_device_gets_its_own_answers(seen: Seen) -> None:
    assert seen.victims == [f"GET {target}".encode() for target in CALLS]
