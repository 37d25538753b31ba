"""An identity of odd characters, or odd headers beside it, is one device like any other: its bytes go upstream as they
are, and neither log, store nor answer is harmed.
"""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.sandbox.device_wire import AUTH_PATH, sign
from support.client import Answer, ask, request
from support.ledger import rows
from support.mender import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
IDENTITIES = {
    "line end and escape": json.dumps({"mac": "a\r\n\x1b[31mb\x1b]0;x\x07"}),
    "NUL": json.dumps({"mac": "a\0b"}),
    "C1 control": '{"mac":"a\x85b\x9b31m"}',
    "bidi": '{"mac":"a\u202eb\u2066c"}',
    "line separators": '{"mac":"a\u2028b\u2029c"}',
    "half a surrogate": '{"mac":"\\ud800"}',
    "tags": '{"mac":"<script>alert(1)</script>\u00a0{{7*7}}"}',
    "SQL": json.dumps({"mac": "'; DROP TABLE device; --"}),
    "operators of a database": '{"$gt":"","a.b":1,"__proto__":{"x":1}}',
    "a key twice": '{"mac":"1","mac":"twice"}',
    "empty key": '{"":""}',
    "many": json.dumps({f"k{number}": number for number in range(200)}),
}
HEADERS = {
    "long request id": "X-MEN-RequestID: " + "z" * 9000,
    "odd request id": 'X-MEN-RequestID: a"b\\ \xff',
    "long agent": "User-Agent: " + "z" * 7000,
    "chunks announced twice": "TE: trailers, chunked",
    "range": "Range: bytes=0-1",
}
KEY = make_key()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with World.running(tmp_path_factory.mktemp("world")) as world:
        yield world


async def enrol(world: World, id_data: str, *headers: str, chunked: bool = False) -> tuple[bytes, Answer]:
    """An auth request by a device of its own; its body and the answer."""
    body = json.dumps({"id_data": id_data, "pubkey": public_key_pem(KEY)}, ensure_ascii=False).encode()
    given = "Content-Type: application/json", f"X-MEN-Signature: {sign(body, KEY)}", *headers
    data = request(AUTH_PATH, *given, method="POST", body=body)
    if chunked:
        head = request(AUTH_PATH, *given, "Transfer-Encoding: chunked", method="POST")
        parts = (body[begin : begin + 7] for begin in range(0, len(body), 7))
        data = head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    context = world.pki.client_context(world.pki.device())
    return body, await ask(world.gateway.port, context, data)


@pytest.mark.parametrize("name", IDENTITIES)
async def test_an_odd_identity_is_one_device(world: World, name: str) -> None:
    before = len(rows(world.gateway, "device"))
    body, answer = await enrol(world, IDENTITIES[name])
    assert answer.status == 200, answer
    assert world.sandbox.journal.find(AUTH_PATH)[-1].body == body
    assert len(rows(world.gateway, "device")) == before + 1
    assert all(json.loads(line) and line.isascii() for line in world.gateway.lines)


@pytest.mark.parametrize("name", HEADERS)
async def test_odd_headers_harm_no_call_of_ours(world: World, name: str) -> None:
    identity = json.dumps({"header": name})
    _, answer = await enrol(world, identity, HEADERS[name])
    told = [line["identity"] for line in world.gateway.events("device told to come again")]
    assert identity.replace(" ", "") not in told, "preauthorized, whatever Mender then says of the device's own headers"
    assert answer.status in {200, 400}, answer


async def test_a_body_in_chunks_is_one_request(world: World) -> None:
    body, answer = await enrol(world, '{"mac":"chunked"}', chunked=True)
    assert answer.status == 200
    assert world.sandbox.journal.find(AUTH_PATH)[-1].body == body
