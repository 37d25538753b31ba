"""Inventory and device configuration: small, enough for clients, tests and the page (mender-facts section 4)."""

import datetime as dt
import json
from collections.abc import Mapping

from aiohttp import web

from mtls_ambassador.sandbox.devauth import Device, NotFoundError
from mtls_ambassador.sandbox.state import DEVICE, STATE, Inventory, SandboxState
from mtls_ambassador.sandbox.wire import (
    ApiError,
    json_response,
    page_response,
    parse_object,
    read_json_body,
    timestamp,
)

ATTRIBUTES = "/api/devices/v1/inventory/device/attributes"
CONFIGURATION = "/api/devices/v1/deviceconfig/configuration"
USERS = "/api/management/v1"
DECODE = "failed to decode request body"


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [
        web.put(ATTRIBUTES, replace),
        web.patch(ATTRIBUTES, upsert),
        web.get(f"{USERS}/inventory/devices", list_inventory),
        web.get(f"{USERS}/inventory/devices/{{id}}", get_inventory),
        web.get(CONFIGURATION, get_configuration),
        web.put(CONFIGURATION, report_configuration),
        web.get(f"{USERS}/deviceconfig/configurations/device/{{id}}", user_get_configuration),
        web.put(f"{USERS}/deviceconfig/configurations/device/{{id}}", user_set_configuration),
    ]


async def replace(request: web.Request) -> web.Response:
    """`PUT` attributes: what was there before is gone."""
    attributes = _attributes(await read_json_body(request))
    request.app[STATE].inventory[request[DEVICE].id] = Inventory(dt.datetime.now(dt.UTC), attributes)
    return web.Response(status=200)


async def upsert(request: web.Request) -> web.Response:
    """`PATCH` attributes: others stay."""
    attributes = _attributes(await read_json_body(request))
    inventory = request.app[STATE].inventory
    known = inventory.get(request[DEVICE].id)
    merged = {**(known.attributes if known else {}), **attributes}
    inventory[request[DEVICE].id] = Inventory(dt.datetime.now(dt.UTC), merged)
    return web.Response(status=200)


async def list_inventory(request: web.Request) -> web.Response:
    """A page of devices with identity and inventory attributes; no filters."""
    state = request.app[STATE]
    return page_response(request, state.devauth.devices(), lambda device: _inventory_json(state, device))


async def get_inventory(request: web.Request) -> web.Response:
    """One device."""
    return json_response(_inventory_json(request.app[STATE], _device(request)))


async def get_configuration(request: web.Request) -> web.Response:
    """What the device is to be configured with; 404 when nobody said."""
    configured = request.app[STATE].configured.get(request[DEVICE].id)
    if configured is None:
        raise ApiError(404, "device not found")
    return json_response(configured)


async def report_configuration(request: web.Request) -> web.Response:
    """What the device is configured with."""
    request.app[STATE].reported[request[DEVICE].id] = _configuration(await read_json_body(request))
    return web.Response(status=204)


async def user_get_configuration(request: web.Request) -> web.Response:
    """What a device is and ought to be configured with."""
    state, device = request.app[STATE], _device(request)
    configured, reported = state.configured.get(device.id, {}), state.reported.get(device.id, {})
    return json_response({"id": device.id, "configured": configured, "reported": reported})


async def user_set_configuration(request: web.Request) -> web.Response:
    """Say what a device ought to be configured with; no deployment is made of it."""
    device = _device(request)
    request.app[STATE].configured[device.id] = _configuration(await read_json_body(request))
    return web.Response(status=204)


def _device(request: web.Request) -> Device:
    try:
        return request.app[STATE].devauth.device(request.match_info["id"])
    except NotFoundError as error:
        raise ApiError(404, str(error)) from None


def _attributes(body: bytes) -> dict[str, object]:
    """A list of `{"name", "value", "description"?}`; a value is a string, a number or a list of one kind."""
    try:
        items = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"{DECODE}: {error}") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ApiError(400, f"{DECODE}: json: cannot unmarshal into a list of attributes")
    attributes: dict[str, object] = {}
    for item in items:
        name, value = item.get("name"), item.get("value")
        if not isinstance(name, str) or not name:
            raise ApiError(400, "name: cannot be blank.")
        if not _is_value(value):
            raise ApiError(400, f"value: supported types are string, float64, and arrays thereof ({name}).")
        attributes[name] = value
    return attributes


def _is_value(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in items)


def _configuration(body: bytes) -> dict[str, str]:
    value = parse_object(body, "malformed request body")
    if not all(isinstance(item, str) for item in value.values()):
        raise ApiError(400, "malformed request body: values must be strings")
    return {key: str(item) for key, item in value.items()}


def _inventory_json(state: SandboxState, device: Device) -> Mapping[str, object]:
    identity = json.loads(device.identity.canonical)
    attributes = [{"name": name, "value": value, "scope": "identity"} for name, value in identity.items()]
    attributes.append({"name": "status", "value": device.status, "scope": "identity"})
    known = state.inventory.get(device.id)
    if known:
        attributes += [{"name": name, "value": v, "scope": "inventory"} for name, v in known.attributes.items()]
    return {
        "id": device.id,
        "updated_ts": timestamp(known.updated if known else device.updated),
        "attributes": attributes,
    }
