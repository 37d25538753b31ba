"""An auth request that no Mender client sends is a clear 4xx in Mender's shape, and nothing of it goes upstream."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ssl import SSLContext

import pytest
import pytest_asyncio

from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.sandbox.device_wire import AUTH_PATH, sign
from support.client import Answer, ask, request, talk
from support.mender import World
from support.pki import Files

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = make_key()
PUBKEY = public_key_pem(KEY)
ID = '{"mac":"02:00:00:00:00:01"}'


def body(id_data: object = ID, **members: object) -> bytes:
    return json.dumps({"id_data": id_data, "pubkey": PUBKEY} | members).encode()


def text(rest: str) -> bytes:
    """A good request with `rest` written before its end."""
    return body()[:-1] + rest.encode(errors="surrogatepass") + b"}"


DEEP = 100_000
BODIES: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"{",
    "null": b"null",
    "a list": b"[" + body() + b"]",
    "a string": json.dumps(body().decode()).encode(),
    "a number": b"1e999",
    "two objects": body() + body(),
    "rubbish after": body() + b"x",
    "NUL after": body() + b"\0",
    "BOM before": b"\xef\xbb\xbf" + body(),
    "UTF-16": body().decode().encode("utf-16"),
    "UTF-32": body().decode().encode("utf-32"),
    "no UTF-8": text(',"tier":"')[:-1] + b'\xff"}',
    "overlong UTF-8": text(',"tier":"')[:-1] + b'\xc0\xae"}',
    "a surrogate in UTF-8": text(',"tier":"\ud800"'),
    "gzip": gzip.compress(body()),
    "deflate": zlib.compress(body()),
    "binary": bytes(range(256)),
    "form": b"id_data=%7B%7D&pubkey=x",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "one byte too large": body().ljust(65_537),
    "a megabyte": body().ljust(2**20),
    "nested lists": b"[" * 60_000,
    "nested objects": b'{"a":' * 12_000,
    "nested deeply beside": text(',"x":' + "[" * 20_000 + "]" * 20_000),
    "id_data nested": body('{"a":' * 800 + "1" + "}" * 800),
    "id_data nested within the limit of characters": body('{"a":' + "[" * 40 + "]" * 40 + "}"),
    "id_data twice": text(f',"id_data":{json.dumps(ID)}'),
    "id_data twice, other case": text(f',"ID_DATA":{json.dumps(ID)}'),
    "pubkey twice": text(f',"pubkey":{json.dumps(PUBKEY)}'),
    "long s in a name": text(',"tenant_token\u017f":"x","pub\u212aey":"x"'),
    "unknown member twice": text(',"x":1,"x":2'),
    "NaN": text(',"x":NaN'),
    "Infinity": text(',"x":-Infinity'),
    "huge integer": text(',"x":' + "9" * 50_000),
    "number that is none": text(',"x":01'),
    "single quotes": body().replace(b'"', b"'"),
    "comment": text("/* */"),
    "trailing comma": text(","),
    "control character in a text": text(',"tier":"a\nb"'),
    "id_data missing": json.dumps({"pubkey": PUBKEY}).encode(),
    "id_data null": body(None),
    "id_data empty": body(""),
    "id_data an object": body({"mac": "1"}),
    "id_data a number": body(1),
    "id_data no JSON": body("mac=1"),
    "id_data a list": body('["mac"]'),
    "id_data an empty object": body("{}"),
    "id_data a string of JSON": body(json.dumps(ID)),
    "id_data a string of a string of JSON": body(json.dumps(json.dumps(ID))),
    "id_data with NaN": body('{"mac":NaN}'),
    "id_data with Infinity": body('{"mac":Infinity}'),
    "id_data out of range": body('{"mac":1e400}'),
    "id_data, integer out of range": body('{"mac":' + "9" * 400 + "}"),
    "id_data with rubbish after": body(ID + "x"),
    "id_data with a control character": body('{"mac":"a\nb"}'),
    "id_data with keys that become one": body('{"a\\ud800":1,"a\\udfff":2}'),
    "id_data too long": body(json.dumps({"mac": "x" * 4096})),
    "pubkey a private key": body(pubkey="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
    "pubkey no PEM": body(pubkey="x"),
    "pubkey empty": body(pubkey=""),
    "pubkey two": body(pubkey=PUBKEY * 2),
    "pubkey with a text before": body(pubkey="x\n" + PUBKEY),
    "pubkey with NUL": body(pubkey=PUBKEY.replace("\n", "\0", 1)),
    "pubkey a list": body(pubkey=[PUBKEY]),
    "tenant_token a number": body(tenant_token=1),
    "tier an object": body(tier={}),
}


@dataclass(frozen=True, slots=True)
class Scene:
    world: World
    device: Files
    context: SSLContext

    async def send(self, data: bytes, *headers: str) -> Answer:
        return await ask(self.world.gateway.port, self.context, request(AUTH_PATH, *headers, method="POST", body=data))


def signed(data: bytes) -> tuple[str, str]:
    """What a client sends beside the body."""
    return "Content-Type: application/json", f"X-MEN-Signature: {sign(data, KEY)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with World.running(tmp_path_factory.mktemp("world")) as world:
        device = world.pki.device()
        yield Scene(world, device, world.pki.client_context(device))


def check(scene: Scene, answer: Answer, statuses: set[int]) -> None:
    assert answer.status in statuses, answer
    assert set(answer.json) == {"error", "request_id"}
    assert answer.headers["content-type"].startswith("application/json")
    assert len(answer.json["error"]) < 200
    assert answer.json["error"].isprintable()
    assert scene.world.sandbox.journal.find("/api/") == []


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_is_a_clear_4xx(scene: Scene, name: str) -> None:
    data = BODIES[name]
    check(scene, await scene.send(data, *signed(data)), {400, 413})


TYPE, SIGNATURE = signed(body())
HEADERS: dict[str, tuple[int, list[str]]] = {
    "no signature": (400, [TYPE]),
    "empty signature": (400, [TYPE, "X-MEN-Signature:"]),
    "signature no base64": (401, [TYPE, "X-MEN-Signature: \xff!"]),
    "signature of another body": (401, [TYPE, f"X-MEN-Signature: {sign(b'x', KEY)}"]),
    "signature long": (401, [TYPE, "X-MEN-Signature: " + "A" * 20_000]),
    "signature URL-safe": (401, [TYPE, SIGNATURE[:-8] + "-_-_-_=="]),
    "two signatures": (401, [TYPE, "X-MEN-Signature: AAAA", SIGNATURE]),
    "no type": (400, [SIGNATURE]),
    "empty type": (400, ["Content-Type:", SIGNATURE]),
    "text": (415, ["Content-Type: text/plain", SIGNATURE]),
    "form": (415, ["Content-Type: application/x-www-form-urlencoded", SIGNATURE]),
    "almost JSON": (415, ["Content-Type: application/jsonx", SIGNATURE]),
    "two types": (415, [TYPE, "Content-Type: text/html", SIGNATURE]),
    "type of odd bytes": (415, ["Content-Type: \xff\xfe", SIGNATURE]),
    "said to be gzip": (400, [TYPE, SIGNATURE, "Content-Encoding: gzip"]),
    "said to be gzip twice": (400, [TYPE, SIGNATURE, "Content-Encoding: identity", "Content-Encoding: gzip"]),
    "said to be brotli": (400, [TYPE, SIGNATURE, "Content-Encoding: br, identity"]),
}


@pytest.mark.parametrize("name", HEADERS)
async def test_bad_headers_are_a_clear_4xx(scene: Scene, name: str) -> None:
    status, headers = HEADERS[name]
    check(scene, await scene.send(body(), *headers), {status})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "X" * 300])
async def test_other_methods_are_refused(scene: Scene, method: str) -> None:
    data = request(AUTH_PATH, *signed(body()), method=method, body=body())
    head = (await talk(scene.world.gateway.port, scene.context, data)).split(b"\r\n", 1)[0]
    assert head.split()[1][:2] == b"40", head
    assert scene.world.sandbox.journal.find("/api/") == []
