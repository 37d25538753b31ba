"""Deployments as a device meets them: ask, download, report, hand in a log (mender-facts section 4)."""

import datetime as dt
import time

from aiohttp import web

from mtls_ambassador.sandbox.deployments import DeploymentError, NextRequest, Progress
from mtls_ambassador.sandbox.links import LIFETIME, check_link, download_base, sign_path
from mtls_ambassador.sandbox.state import DEVICE, STATE
from mtls_ambassador.sandbox.wire import ApiError, json_response, parse_object, read_json_body, text_field, timestamp

DEVICES = "/api/devices/v1/deployments"
DOWNLOAD = f"{DEVICES}/download/artifact"
MALFORMED = "cannot parse request"


def routes() -> list[web.RouteDef]:
    """The routes of this module. Version 2 of `next` is Enterprise only: 404, and clients fall back."""
    return [
        web.get(f"{DEVICES}/device/deployments/next", next_by_query),
        web.post(f"{DEVICES}/device/deployments/next", next_by_body),
        web.put(f"{DEVICES}/device/deployments/{{id}}/status", report),
        web.put(f"{DEVICES}/device/deployments/{{id}}/log", save_log),
        web.get(f"{DOWNLOAD}/{{id}}", download),
    ]


async def next_by_query(request: web.Request) -> web.Response:
    """`GET …/next?artifact_name&device_type`."""
    return _next(request, NextRequest(request.query.get("artifact_name", ""), request.query.get("device_type", "")))


async def next_by_body(request: web.Request) -> web.Response:
    """`POST …/next` with a flat object."""
    body = parse_object(await read_json_body(request), MALFORMED)
    provides = body.get("artifact_provides") or {}
    if not isinstance(provides, dict):
        raise ApiError(400, "artifact_provides: must be an object")
    pairs = tuple(sorted((str(key), str(value)) for key, value in provides.items()))
    name, kind = (text_field(body, field, MALFORMED) for field in ("artifact_name", "device_type"))
    return _next(request, NextRequest(name, kind, pairs))


def _next(request: web.Request, asked: NextRequest) -> web.Response:
    if not asked.artifact_name or not asked.device_type:
        raise ApiError(400, "artifact_name: cannot be blank; device_type: cannot be blank.")
    state = request.app[STATE]
    try:
        found = state.deployments.next(request[DEVICE].id, asked)
    except DeploymentError as error:
        raise ApiError(error.status, str(error)) from None
    if found is None:
        return web.Response(status=204)
    deployment, artifact = found
    expires = int(time.time()) + LIFETIME
    link = download_base(request) + sign_path(state.secret, f"{DOWNLOAD}/{artifact.id}", expires)
    source = {"uri": link, "expire": timestamp(dt.datetime.fromtimestamp(expires, dt.UTC))}
    instructions = {
        "id": artifact.id,
        "artifact_name": artifact.info.name,
        "source": source,
        "device_types_compatible": artifact.info.device_types,
    }
    return json_response({"id": deployment.id, "artifact": instructions})


async def report(request: web.Request) -> web.Response:
    """`PUT …/status`: 204; 400 unknown status, 404 not its deployment, 409 aborted or decommissioned."""
    body = parse_object(await read_json_body(request), MALFORMED)
    status, substate = (text_field(body, field, MALFORMED) for field in ("status", "substate"))
    if status not in set(Progress):
        raise ApiError(400, f"invalid status for device '{status}'")
    try:
        request.app[STATE].deployments.report(request[DEVICE].id, request.match_info["id"], Progress(status), substate)
    except DeploymentError as error:
        raise ApiError(error.status, str(error)) from None
    return web.Response(status=204)


async def save_log(request: web.Request) -> web.Response:
    """`PUT …/log`: 204; 413 above 1 MiB."""
    messages = parse_object(await read_json_body(request), MALFORMED).get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise ApiError(400, "messages: must be a list of objects")
    try:
        request.app[STATE].deployments.save_log(request[DEVICE].id, request.match_info["id"], messages)
    except DeploymentError as error:
        raise ApiError(error.status, str(error)) from None
    return web.Response(status=204)


async def download(request: web.Request) -> web.StreamResponse:
    """The artifact, by a presigned link and without a token, as from a storage host; `Range` honoured."""
    check_link(request)
    artifact = request.app[STATE].deployments.artifacts.get(request.match_info["id"])
    if artifact is None:
        raise ApiError(404, "Resource not found")
    name = artifact.info.name.encode("ascii", "replace").decode().replace('"', "_")
    headers = {
        "Content-Type": "application/vnd.mender-artifact",
        "Content-Disposition": f'attachment; filename="{name}.mender"',
    }
    return web.FileResponse(artifact.path, headers=headers)
