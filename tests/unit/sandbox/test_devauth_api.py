"""The management side over HTTP."""

import re
from typing import Any

import pytest

from mtls_ambassador.pki.issue import make_key, public_key_pem
from support.sandbox_caller import DEVAUTH, Caller

KEY = make_key()
PEM = public_key_pem(KEY)
BODY: dict[str, Any] = {"identity_data": {"mac": "1"}, "pubkey": PEM}


async def test_preauthorization_answers_201_empty_with_the_devices_place(caller: Caller) -> None:
    answer = await caller.manage("POST", f"{DEVAUTH}/devices", json=BODY)
    assert (answer.status, answer.body) == (201, b"")
    device_id = re.fullmatch(r"devices/([0-9a-f-]{36})", answer.headers["Location"])
    assert device_id
    device = (await caller.manage("GET", f"{DEVAUTH}/devices/{device_id[1]}")).json
    assert set(device) == {"id", "identity_data", "status", "decommissioning", "created_ts", "updated_ts", "auth_sets"}
    assert (device["status"], device["decommissioning"], device["identity_data"]) == (
        "preauthorized",
        False,
        {"mac": "1"},
    )
    assert set(device["auth_sets"][0]) == {"id", "identity_data", "pubkey", "ts", "status"}
    assert device["auth_sets"][0]["pubkey"] == PEM


async def test_a_second_one_is_409_with_the_device_and_null_auth_sets(caller: Caller) -> None:
    made = await caller.manage("POST", f"{DEVAUTH}/devices", json=BODY)
    answer = await caller.manage("POST", f"{DEVAUTH}/devices", json=BODY)
    assert answer.status == 409
    assert answer.json["auth_sets"] is None
    assert made.headers["Location"] == f"devices/{answer.json['id']}"


async def test_force_answers_201_with_the_id_of_no_device(caller: Caller) -> None:
    await caller.manage("POST", f"{DEVAUTH}/devices", json=BODY)
    answer = await caller.manage("POST", f"{DEVAUTH}/devices", json={**BODY, "force": True})
    assert answer.status == 201
    assert (await caller.manage("GET", f"{DEVAUTH}/{answer.headers['Location']}")).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"identity_data": {}, "pubkey": PEM},
        {"identity_data": "text", "pubkey": PEM},
        {"identity_data": {"a": 1}},
        {"identity_data": {"a": 1}, "pubkey": "nix"},
        {**BODY, "force": "yes"},
        [],
    ],
)
async def test_malformed_preauthorizations_are_400(caller: Caller, body: object) -> None:
    answer = await caller.manage("POST", f"{DEVAUTH}/devices", json=body)
    assert answer.status == 400
    assert answer.error.startswith("failed to decode preauth request: ")


async def test_pages_link_to_first_previous_and_next(caller: Caller) -> None:
    for number in range(5):
        await caller.manage("POST", f"{DEVAUTH}/devices", json={**BODY, "identity_data": {"n": number}})
    seen, links = [], []
    for page in (1, 2, 3, 4):
        answer = await caller.manage("GET", f"{DEVAUTH}/devices?status=preauthorized&page={page}&per_page=2")
        seen += [device["id"] for device in answer.json]
        links.append(answer.headers.getall("Link"))
    assert len(seen) == len(set(seen)) == 5
    assert [re.findall(r'rel="(\w+)"', " ".join(line)) for line in links] == [
        ["first", "next"],
        ["first", "prev", "next"],
        ["first", "prev"],
        ["first", "prev"],
    ]
    assert links[0][1] == f'<{DEVAUTH}/devices?page=2&per_page=2&status=preauthorized>; rel="next"'


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", "page=%D9%A3", "page=9999999999999999999", "per_page=501", "per_page=-1", "status=nix"],
)
async def test_wrong_paging_and_filters_are_400(caller: Caller, query: str) -> None:
    assert (await caller.manage("GET", f"{DEVAUTH}/devices?{query}")).status == 400


async def test_search_takes_one_or_many(caller: Caller) -> None:
    device = await caller.enrol()
    await caller.manage("POST", f"{DEVAUTH}/devices", json=BODY)
    for body, count in [
        ({}, 2),
        ({"status": "accepted"}, 1),
        ({"status": ["accepted", "preauthorized"]}, 2),
        ({"id": device.id}, 1),
        ({"id": [device.id], "status": "pending"}, 0),
    ]:
        answer = await caller.manage("POST", f"{DEVAUTH}/devices/search", json=body)
        assert len(answer.json) == count, body
    assert (await caller.manage("POST", f"{DEVAUTH}/devices/search", json={"id": 7})).status == 400


async def test_counts(caller: Caller) -> None:
    await caller.enrol()
    for query, count in [("", 1), ("?status=accepted", 1), ("?status=pending", 0)]:
        assert (await caller.manage("GET", f"{DEVAUTH}/devices/count{query}")).json == {"count": count}
    assert (await caller.manage("GET", f"{DEVAUTH}/devices/count?status=nix")).status == 400


async def test_a_persons_decisions(caller: Caller) -> None:
    device = await caller.enrol()
    assert (await caller.set_status(device.id, "rejected")).status == 204
    assert (await caller.set_status(device.id, "rejected")).status == 204
    assert (await caller.set_status(device.id, "accepted")).status == 204
    answer = await caller.set_status(device.id, "preauthorized")
    assert (answer.status, answer.error) == (400, "incorrect device status")


async def test_accepting_a_preauthorized_set_is_no_transition(caller: Caller) -> None:
    made = await caller.manage("POST", f"{DEVAUTH}/devices", json=BODY)
    answer = await caller.set_status(made.headers["Location"].removeprefix("devices/"), "accepted")
    assert (answer.status, answer.error) == (400, "dev auth: bad request")


async def test_accepting_over_the_limit_is_422(caller: Caller) -> None:
    caller.sandbox.state.devauth.limit = 0
    assert (await caller.manage("GET", f"{DEVAUTH}/limits/max_devices")).json == {"limit": 0}
    await caller.authorize('{"a":1}', KEY)
    answer = await caller.set_status(caller.sandbox.state.devauth.devices()[0].id, "accepted")
    assert (answer.status, answer.error) == (422, "maximum number of accepted devices reached")


async def test_what_is_not_there_is_404(caller: Caller) -> None:
    for method, path in [
        ("GET", "devices/nix"),
        ("DELETE", "devices/nix"),
        ("DELETE", "devices/nix/auth/nix"),
        ("GET", "devices/nix/auth/nix/status"),
        ("DELETE", "tokens/nix"),
    ]:
        assert (await caller.manage(method, f"{DEVAUTH}/{path}")).status == 404, path
    put = await caller.manage("PUT", f"{DEVAUTH}/devices/nix/auth/nix/status", json={"status": "accepted"})
    assert (put.status, put.error) == (404, "authorization set not found")


async def test_auth_sets_and_tokens_can_be_taken_away(caller: Caller) -> None:
    device = await caller.enrol()
    sets = (await caller.manage("GET", f"{DEVAUTH}/devices/{device.id}")).json["auth_sets"]
    path = f"{DEVAUTH}/devices/{device.id}/auth/{sets[0]['id']}"
    assert (await caller.manage("GET", f"{path}/status")).json == {"status": "accepted"}
    assert (await caller.manage("DELETE", f"{DEVAUTH}/tokens/{sets[0]['id']}")).status == 204
    assert (await caller.as_device("GET", "/api/devices/v1/sandbox/blob?bytes=1", device.token)).status == 401
    assert (await caller.manage("DELETE", path)).status == 204
    assert (await caller.manage("GET", f"{DEVAUTH}/devices/{device.id}")).json["status"] == "noauth"


async def test_decommissioning_flags_first_and_removes_later(caller: Caller) -> None:
    caller.sandbox.state.devauth.decommission_delay = 3600
    device = await caller.enrol()
    assert (await caller.manage("DELETE", f"{DEVAUTH}/devices/{device.id}")).status == 204
    assert (await caller.manage("GET", f"{DEVAUTH}/devices/{device.id}")).json["decommissioning"] is True
    caller.sandbox.state.devauth.decommission_delay = 0
    assert (await caller.manage("DELETE", f"{DEVAUTH}/devices/{device.id}")).status == 204
    assert (await caller.manage("GET", f"{DEVAUTH}/devices/{device.id}")).status == 404


async def test_a_device_whose_status_is_broken_is_a_500(caller: Caller) -> None:
    await caller.authorize('{"mac":"1"}', KEY)
    await caller.set_status(caller.sandbox.state.devauth.devices()[0].id, "rejected")
    for _ in range(2):
        forced = {**BODY, "pubkey": public_key_pem(make_key()), "force": True}
        assert (await caller.manage("POST", f"{DEVAUTH}/devices", json=forced)).status == 201
    answer = await caller.authorize('{"mac":"1"}', make_key())
    assert (answer.status, answer.error) == (500, "internal error")
