import hashlib

import pytest

from mtls_ambassador.pki.issue import make_key
from mtls_ambassador.sandbox.server import SandboxConfig
from support.sandbox_caller import AUTH, DEVAUTH, Caller, auth_body, sign

KEY = make_key()


@pytest.fixture
def sandbox_config() -> SandboxConfig:
    return SandboxConfig(journal_size=3)


async def test_an_auth_request_is_kept_byte_for_byte(caller: Caller) -> None:
    body = auth_body('{"mac":"ü"}', KEY) + b" \n\t"
    headers = {"Content-Type": "application/json", "X-MEN-Signature": sign(KEY, body), "x-Odd-CASE": "1"}
    await caller.call("POST", AUTH, data=body, headers=headers)
    (entry,) = caller.sandbox.journal.find(AUTH)
    assert (entry.body, entry.body_sha256, entry.body_size) == (body, hashlib.sha256(body).hexdigest(), len(body))
    assert ("x-Odd-CASE", "1") in entry.headers
    assert entry.header("X-ODD-case") == "1"
    assert entry.header_values("host") == [caller.sandbox.url.removeprefix("http://")]
    assert entry.header("Cookie") is None
    assert (entry.method, entry.route, entry.status) == ("POST", AUTH, 401)


async def test_other_bodies_are_hashed_only(caller: Caller) -> None:
    await caller.manage("POST", f"{DEVAUTH}/devices", json={})
    (entry,) = caller.sandbox.journal.find(DEVAUTH)
    assert (entry.body, entry.body_sha256) == (None, hashlib.sha256(b"{}").hexdigest())


async def test_a_refused_body_that_nobody_read_has_no_hash(caller: Caller) -> None:
    await caller.call("POST", f"{DEVAUTH}/devices", json={})
    (entry,) = caller.sandbox.journal.find(DEVAUTH)
    assert (entry.status, entry.body_sha256) == (401, None)


async def test_it_is_bounded_and_counts_on(caller: Caller) -> None:
    for _ in range(5):
        await caller.call("GET", "/nix")
    assert [entry.number for entry in caller.sandbox.journal.entries] == [3, 4, 5]
    assert caller.sandbox.journal.counts == {"GET unknown": 5}


async def test_its_own_controls_are_not_in_it(caller: Caller) -> None:
    await caller.call("GET", "/sandbox/journal")
    assert list(caller.sandbox.journal.entries) == []
