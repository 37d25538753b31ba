import pytest

from support.sandbox_caller import DEVAUTH, LOGIN, Caller

ME = "/api/management/v1/useradm/users/me"


async def test_faults_over_http(caller: Caller) -> None:
    fault = {"path": LOGIN, "status": 503, "retry_after": "5", "count": 1}
    made = await caller.call("POST", "/sandbox/faults", json=fault)
    assert made.status == 201
    assert (await caller.call("GET", "/sandbox/faults")).json == [made.json]
    assert (await caller.login()).status == 503
    await caller.call("POST", "/sandbox/faults", json={"latency": 0.5})
    assert (await caller.call("DELETE", "/sandbox/faults")).status == 204
    assert caller.sandbox.faults.active == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"hits": 1, "drop": True},
        {"status": "503"},
        {"status": True},
        {"status": 200},
        {"drop": True, "count": 0},
        {"latency": -1},
        {"drop": 1},
    ],
)
async def test_a_wrong_fault_is_named(caller: Caller, body: object) -> None:
    answer = await caller.call("POST", "/sandbox/faults", json=body)
    assert answer.status == 400
    assert answer.error
    assert caller.sandbox.faults.active == []


async def test_a_fault_needs_the_content_type_json(caller: Caller) -> None:
    """So that a page elsewhere cannot order one: browsers ask first before they send this type."""
    assert (await caller.call("POST", "/sandbox/faults", data=b'{"drop":true}')).status == 415


async def test_everything_can_be_expired(caller: Caller) -> None:
    device = await caller.enrol()
    assert (await caller.call("POST", "/sandbox/expire", json={"what": "device-tokens"})).status == 204
    assert (await caller.as_device("GET", "/api/devices/v1/sandbox/blob?bytes=1", device.token)).status == 401
    assert (await caller.call("POST", "/sandbox/expire", json={"what": "logins"})).status == 204
    assert (await caller.manage("GET", ME)).status == 401
    assert (await caller.call("POST", "/sandbox/expire", json={"what": "milk"})).status == 400


async def test_the_journal_and_the_counters_over_http(caller: Caller) -> None:
    await caller.manage("GET", f"{DEVAUTH}/devices/nix?a=b%20c")
    (entry,) = (await caller.call("GET", f"/sandbox/journal?path={DEVAUTH}&method=GET")).json
    assert (entry["path"], entry["query"], entry["status"]) == (f"{DEVAUTH}/devices/nix", "a=b%20c", 404)
    counters = (await caller.call("GET", "/sandbox/counters")).json
    assert counters["requests"] == {f"POST {LOGIN}": 1, f"GET {DEVAUTH}/devices/{{id}}": 1}
    assert counters["answers"] == {f"POST {LOGIN} 200": 1, f"GET {DEVAUTH}/devices/{{id}} 404": 1}
    assert (await caller.call("GET", "/sandbox/journal?limit=0")).status == 400
    assert (await caller.call("DELETE", "/sandbox/journal")).status == 204
    assert (await caller.call("GET", "/sandbox/journal")).json == []
