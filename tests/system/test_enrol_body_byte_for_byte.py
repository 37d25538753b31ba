"""The auth request arrives upstream byte for byte, with a signature that is valid over exactly those bytes."""

import json
from pathlib import Path

import pytest

from mtls_ambassador.mender.messages import read_auth_request
from mtls_ambassador.pki.issue import public_key_pem
from mtls_ambassador.sandbox.device import SimulatedDevice
from mtls_ambassador.sandbox.device_wire import AuthRequest, sign
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from support.mender import World

SPELLINGS = [
    '{"id_data":%s,"pubkey":%s}',
    '  {\r\n\t"pubkey" : %s , "id_data":%s,"tenant_token":"",\n"unknown":[1.0e+2,"\\u00e4\\/ä"] }\n\n',
]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_as_it_was_sent(tmp_path: Path, spelling: str) -> None:
    async with World.running(tmp_path) as world:
        pair = world.pair()
        texts = [json.dumps('{"mac" : "\\u0061",  "n":1.50}'), json.dumps(public_key_pem(pair.key))]
        if spelling.index("pubkey") < spelling.index("id_data"):
            texts.reverse()
        body = (spelling % tuple(texts)).encode()
        async with SimulatedDevice(world.device(pair, "a")) as device:
            await device.authorize(AuthRequest(body, sign(body, pair.key)))
        (entry,) = world.sandbox.journal.find(AUTH_REQUESTS)
    assert entry.body == body
    assert read_auth_request(entry.body, entry.header("X-MEN-Signature")).identity.canonical == '{"mac":"a","n":1.5}'
