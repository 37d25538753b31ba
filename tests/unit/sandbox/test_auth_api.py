"""Auth requests and the token check over HTTP: Mender's order of checks, statuses and texts."""

import io
import json

import pytest

from mtls_ambassador.pki.issue import KeyKind, make_key, public_key_pem
from mtls_ambassador.sandbox.server import SandboxConfig
from support.sandbox_caller import AUTH, DEVAUTH, Caller, auth_body, sign

IDENTITY = '{"mac":"02:00:00:00:00:01"}'
PROBE = "/api/devices/v1/sandbox/blob?bytes=1"
KEY = make_key()
PEM = public_key_pem(KEY)


@pytest.mark.parametrize("kind", list(KeyKind))
async def test_a_device_of_every_key_kind_gets_in_and_its_token_works(caller: Caller, kind: KeyKind) -> None:
    device = await caller.enrol(key=make_key(kind))
    assert (await caller.as_device("GET", PROBE, device.token)).status == 200


async def test_the_token_is_bare_text_of_type_jwt(caller: Caller) -> None:
    await caller.enrol(IDENTITY, KEY)
    answer = await caller.authorize(IDENTITY, KEY)
    assert answer.headers["Content-Type"] == "application/jwt"
    assert answer.text.count(".") == 2


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "failed to decode auth request: "),
        (b"[]", "failed to decode auth request: "),
        (b'{"id_data":{"mac":"1"},"pubkey":"x"}', "failed to decode auth request: "),
        (b"{}", "invalid auth request: id_data must be provided"),
        (b'{"id_data":"{}"}', "invalid auth request: pubkey must be provided"),
        (b'{"id_data":"{\\"a\\":1}","pubkey":"x"}', "invalid auth request: cannot decode public key"),
        (json.dumps({"id_data": "[1]", "pubkey": PEM}).encode(), "invalid auth request: "),
        (json.dumps({"id_data": "{} {}", "pubkey": PEM}).encode(), "invalid auth request: "),
    ],
)
async def test_malformed_requests_are_400_before_any_signature_check(caller: Caller, body: bytes, text: str) -> None:
    answer = await caller.authorize("", KEY, body=body, signature="wrong")
    assert answer.status == 400
    assert answer.error.startswith(text)


async def test_a_missing_signature_is_400(caller: Caller) -> None:
    answer = await caller.authorize(IDENTITY, KEY, signature=None)
    assert (answer.status, answer.error) == (400, "missing request signature header")


async def test_a_wrong_signature_is_401_and_leaves_no_trace(caller: Caller) -> None:
    for signature in ("!", "AAAA", sign(make_key(), auth_body(IDENTITY, KEY))):
        answer = await caller.authorize(IDENTITY, KEY, signature=signature)
        assert (answer.status, answer.error) == (401, "signature verification failed")
    assert caller.sandbox.state.devauth.count() == 0


async def test_unknown_pending_rejected_and_leaving_devices_look_alike(
    caller: Caller, sandbox_config: SandboxConfig
) -> None:
    del sandbox_config
    caller.sandbox.state.devauth.decommission_delay = 3600
    texts = [(await caller.authorize(IDENTITY, KEY)).error, (await caller.authorize(IDENTITY, KEY)).error]
    device = caller.sandbox.state.devauth.devices()[0]
    await caller.set_status(device.id, "rejected")
    texts.append((await caller.authorize(IDENTITY, KEY)).error)
    await caller.manage("DELETE", f"{DEVAUTH}/devices/{device.id}")
    texts.append((await caller.authorize(IDENTITY, KEY)).error)
    assert texts == ["dev auth: unauthorized"] * 4


async def test_over_the_limit_the_device_is_told_less(caller: Caller) -> None:
    caller.sandbox.state.devauth.limit = 0
    body = {"identity_data": json.loads(IDENTITY), "pubkey": PEM}
    assert (await caller.manage("POST", f"{DEVAUTH}/devices", json=body)).status == 201
    answer = await caller.authorize(IDENTITY, KEY)
    assert (answer.status, answer.error) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("kind", "status"), [(None, 400), ("text/plain", 415), ("application/json; charset=utf-8", 401)]
)
async def test_the_content_type_matters(caller: Caller, kind: str | None, status: int) -> None:
    body = auth_body(IDENTITY, KEY)
    headers = {"X-MEN-Signature": sign(KEY, body), **({"Content-Type": kind} if kind else {})}
    answer = await caller.call("POST", AUTH, data=body, headers=headers, skip_auto_headers=["Content-Type"])
    assert answer.status == status


async def test_more_than_a_mebibyte_is_413(caller: Caller) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await caller.call("POST", AUTH, data=io.BytesIO(b" " * 1_048_577), headers=headers)
    assert answer.status == 413


async def test_a_missing_authorization_header_has_a_text_a_bad_token_has_none(caller: Caller) -> None:
    missing = await caller.call("GET", PROBE)
    assert (missing.status, missing.error) == (401, "Authorization not present in header")
    for token in ("nix", "a.b.c", caller.sandbox.state.signer.sign({"jti": "x", "mender.device": True})):
        bad = await caller.as_device("GET", PROBE, token)
        assert (bad.status, bad.body) == (401, b"")


async def test_a_users_token_is_no_device_token(caller: Caller) -> None:
    answer = await caller.manage("GET", PROBE)
    assert (answer.status, answer.body) == (401, b"")


async def test_a_token_stops_with_its_set_and_all_tokens_of_a_set_live_and_end_together(caller: Caller) -> None:
    device = await caller.enrol(IDENTITY, KEY)
    second = (await caller.authorize(IDENTITY, KEY)).text
    for token in (device.token, second):
        assert (await caller.as_device("GET", PROBE, token)).status == 200
    assert (await caller.set_status(device.id, "rejected")).status == 204
    for token in (device.token, second):
        assert (await caller.as_device("GET", PROBE, token)).status == 401


async def test_unknown_device_paths_are_404_with_a_token_only(caller: Caller) -> None:
    device = await caller.enrol(IDENTITY, KEY)
    answer = await caller.as_device("GET", "/api/devices/v2/deployments/device/deployments/next", device.token)
    assert (answer.status, answer.error) == (404, "not found")
    assert (await caller.call("GET", "/api/devices/v9/nix")).status == 401
    wrong = await caller.call("GET", AUTH)
    assert (wrong.status, wrong.error) == (405, "method not allowed")
