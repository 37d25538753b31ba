import pytest

from support.sandbox_caller import DEVAUTH, Caller

ATTRIBUTES = "/api/devices/v1/inventory/device/attributes"
CONFIGURATION = "/api/devices/v1/deviceconfig/configuration"
USERS = "/api/management/v1"


async def shown(caller: Caller, device_id: str) -> dict[str, object]:
    answer = await caller.manage("GET", f"{USERS}/inventory/devices/{device_id}")
    return {a["name"]: a["value"] for a in answer.json["attributes"] if a["scope"] == "inventory"}


async def test_put_replaces_and_patch_adds(caller: Caller) -> None:
    device = await caller.enrol()
    for method, items in [
        ("PUT", [{"name": "a", "value": "1"}, {"name": "b", "value": ["x", "y"]}]),
        ("PATCH", [{"name": "a", "value": 2, "description": "more"}]),
    ]:
        answer = await caller.as_device(method, ATTRIBUTES, device.token, json=items)
        assert (answer.status, answer.body) == (200, b"")
    assert await shown(caller, device.id) == {"a": 2, "b": ["x", "y"]}
    await caller.as_device("PUT", ATTRIBUTES, device.token, json=[{"name": "c", "value": ""}])
    assert await shown(caller, device.id) == {"c": ""}


@pytest.mark.parametrize(
    "body",
    [{}, [1], [{"value": "1"}], [{"name": ""}], [{"name": "a", "value": {}}], [{"name": "a", "value": None}], "x"],
)
async def test_malformed_attributes_change_nothing(caller: Caller, body: object) -> None:
    device = await caller.enrol()
    assert (await caller.as_device("PUT", ATTRIBUTES, device.token, json=body)).status == 400
    assert await shown(caller, device.id) == {}


async def test_a_list_shows_identity_and_status(caller: Caller) -> None:
    device = await caller.enrol()
    (item,) = (await caller.manage("GET", f"{USERS}/inventory/devices")).json
    values = {a["name"]: a["value"] for a in item["attributes"]}
    assert (item["id"], values) == (device.id, {"mac": "02:00:00:00:00:01", "status": "accepted"})
    assert (await caller.manage("GET", f"{USERS}/inventory/devices/nix")).status == 404


async def test_a_removed_device_leaves_nothing(caller: Caller) -> None:
    device = await caller.enrol()
    await caller.as_device("PUT", ATTRIBUTES, device.token, json=[{"name": "a", "value": "1"}])
    await caller.manage("DELETE", f"{DEVAUTH}/devices/{device.id}")
    assert (await caller.manage("GET", f"{USERS}/inventory/devices")).json == []
    assert caller.sandbox.state.inventory == {}


async def test_configuration_is_set_fetched_and_reported(caller: Caller) -> None:
    device = await caller.enrol()
    assert (await caller.as_device("GET", CONFIGURATION, device.token)).status == 404
    user = f"{USERS}/deviceconfig/configurations/device/{device.id}"
    assert (await caller.manage("PUT", user, json={"a": "1"})).status == 204
    assert (await caller.as_device("GET", CONFIGURATION, device.token)).json == {"a": "1"}
    assert (await caller.as_device("PUT", CONFIGURATION, device.token, json={"a": "0"})).status == 204
    assert (await caller.manage("GET", user)).json == {
        "id": device.id,
        "configured": {"a": "1"},
        "reported": {"a": "0"},
    }
    assert (await caller.as_device("PUT", CONFIGURATION, device.token, json={"a": 1})).status == 400
