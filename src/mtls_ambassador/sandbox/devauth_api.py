"""Management device authentication v2: what a gateway and a person call (mender-facts section 3)."""

import json

from aiohttp import web

from mtls_ambassador.model.identity import Identity
from mtls_ambassador.sandbox.devauth import (
    BadRequestError,
    DevAuth,
    Device,
    DeviceExistsError,
    LimitError,
    NotFoundError,
    Status,
)
from mtls_ambassador.sandbox.keys import parse_key
from mtls_ambassador.sandbox.state import STATE
from mtls_ambassador.sandbox.wire import (
    ApiError,
    json_response,
    page_response,
    parse_object,
    read_json_body,
    text_field,
    timestamp,
)

BASE = "/api/management/v2/devauth"
PREAUTH = "failed to decode preauth request"
DECIDABLE = {Status.ACCEPTED, Status.REJECTED, Status.PENDING}


def routes() -> list[web.RouteDef]:
    """The routes of this module; fixed paths before those with an id."""
    return [
        web.post(f"{BASE}/devices", preauthorize),
        web.get(f"{BASE}/devices", list_devices),
        web.post(f"{BASE}/devices/search", search),
        web.get(f"{BASE}/devices/count", count),
        web.get(f"{BASE}/devices/{{id}}", get_device),
        web.delete(f"{BASE}/devices/{{id}}", decommission),
        web.delete(f"{BASE}/devices/{{id}}/auth/{{aid}}", delete_auth_set),
        web.get(f"{BASE}/devices/{{id}}/auth/{{aid}}/status", get_status),
        web.put(f"{BASE}/devices/{{id}}/auth/{{aid}}/status", put_status),
        web.delete(f"{BASE}/tokens/{{jti}}", delete_token),
        web.get(f"{BASE}/limits/max_devices", get_limit),
    ]


def device_json(device: Device, *, with_sets: bool = True) -> dict[str, object]:
    """A device as Mender writes it; the answer 409 has no sets, it comes from the device row alone."""
    identity = json.loads(device.identity.canonical)
    value: dict[str, object] = {
        "id": device.id,
        "identity_data": identity,
        "status": device.status,
        "decommissioning": device.decommissioning,
        "created_ts": timestamp(device.created),
        "updated_ts": timestamp(device.updated),
        "auth_sets": None,
    }
    if with_sets:
        value["auth_sets"] = [
            {"id": s.id, "identity_data": identity, "pubkey": s.pubkey, "ts": timestamp(s.ts), "status": s.status}
            for s in device.auth_sets.values()
        ]
    if device.check_in:
        value["check_in_time"] = timestamp(device.check_in)
    return value


async def preauthorize(request: web.Request) -> web.Response:
    """201 with `Location`, 409 with the device as it is, 400 malformed."""
    body = parse_object(await read_json_body(request), PREAUTH)
    force = body.get("force", False)
    identity_data, pubkey = body.get("identity_data"), text_field(body, "pubkey", PREAUTH)
    if not isinstance(force, bool) or not isinstance(identity_data, dict | None):
        raise ApiError(400, f"{PREAUTH}: json: cannot unmarshal a field")
    if not identity_data or not pubkey:
        field = "pubkey" if identity_data else "identity_data"
        raise ApiError(400, f"{PREAUTH}: {field}: cannot be blank.")
    try:
        identity, key = Identity.parse(json.dumps(identity_data)), parse_key(pubkey)
    except ValueError as error:
        raise ApiError(400, f"{PREAUTH}: {error}") from None
    try:
        device_id = _devauth(request).preauthorize(identity, key.pem, force=force)
    except DeviceExistsError as error:
        return json_response(device_json(error.device, with_sets=False), status=409)
    return web.Response(status=201, headers={"Location": f"devices/{device_id}"})


async def list_devices(request: web.Request) -> web.Response:
    """A page of devices, filtered by repeatable `status` and `id`."""
    statuses = request.query.getall("status", [])
    if not set(statuses) <= set(Status):
        raise ApiError(400, "filter status must be one of: accepted, pending, rejected, preauthorized or noauth")
    return page_response(request, _devauth(request).devices(statuses, request.query.getall("id", [])), device_json)


async def search(request: web.Request) -> web.Response:
    """The same with the filter in the body."""
    body = parse_object(await read_json_body(request), "api: malformed request body")
    found = _devauth(request).devices(_texts(body, "status"), _texts(body, "id"))
    return page_response(request, found, device_json)


async def count(request: web.Request) -> web.Response:
    """How many devices, of one status or all."""
    status = request.query.get("status", "")
    if status and status not in set(Status):
        raise ApiError(400, "status must be one of: pending, accepted, rejected, preauthorized, noauth")
    return json_response({"count": _devauth(request).count(Status(status) if status else None)})


async def get_device(request: web.Request) -> web.Response:
    """One device with its auth sets."""
    try:
        return json_response(device_json(_devauth(request).device(request.match_info["id"])))
    except NotFoundError as error:
        raise ApiError(404, str(error)) from None


async def decommission(request: web.Request) -> web.Response:
    """204 at once; the device is gone a little later."""
    try:
        _devauth(request).decommission(request.match_info["id"])
    except NotFoundError:
        raise ApiError(404) from None
    return web.Response(status=204)


async def delete_auth_set(request: web.Request) -> web.Response:
    """204; the last set of a preauthorized device takes the device with it."""
    try:
        _devauth(request).delete_auth_set(request.match_info["id"], request.match_info["aid"])
    except NotFoundError:
        raise ApiError(404) from None
    return web.Response(status=204)


async def get_status(request: web.Request) -> web.Response:
    """The status of one auth set; the device's id is not looked at, as in Mender."""
    try:
        return json_response({"status": _devauth(request).auth_set(request.match_info["aid"]).status})
    except NotFoundError as error:
        raise ApiError(404, str(error)) from None


async def put_status(request: web.Request) -> web.Response:
    """Accept, reject or reset one auth set: 204; 400 bad transition, 404, 422 over the limit."""
    body = parse_object(await read_json_body(request), "failed to decode status data")
    status = text_field(body, "status", "failed to decode status data")
    if status not in DECIDABLE:
        raise ApiError(400, "incorrect device status")
    try:
        _devauth(request).set_status(request.match_info["id"], request.match_info["aid"], Status(status))
    except NotFoundError as error:
        raise ApiError(404, str(error)) from None
    except BadRequestError as error:
        raise ApiError(400, str(error)) from None
    except LimitError as error:
        raise ApiError(422, str(error)) from None
    return web.Response(status=204)


async def delete_token(request: web.Request) -> web.Response:
    """Revoke the tokens of one auth set."""
    try:
        _devauth(request).revoke_token(request.match_info["jti"])
    except NotFoundError:
        raise ApiError(404) from None
    return web.Response(status=204)


async def get_limit(request: web.Request) -> web.Response:
    """How many devices may be accepted; -1 means any number."""
    return json_response({"limit": _devauth(request).limit})


def _devauth(request: web.Request) -> DevAuth:
    return request.app[STATE].devauth


def _texts(body: dict[str, object], name: str) -> list[str]:
    value = body.get(name)
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise ApiError(400, f"api: malformed request body: invalid JSON type for '{name}': must be string or []string")
    return [str(item) for item in items]
