"""Deployments over HTTP: what a user uploads and orders, what a device asks and reports (mender-facts section 4)."""

import datetime as dt
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from aiohttp import BodyPartReader, web

from mtls_ambassador.sandbox.artifact import ArtifactError, read_artifact
from mtls_ambassador.sandbox.deployments import (
    Artifact,
    Deployment,
    DeploymentError,
    DeviceDeployment,
    NextRequest,
    Progress,
)
from mtls_ambassador.sandbox.devauth import Status
from mtls_ambassador.sandbox.links import LIFETIME, check_link, download_base, sign_path
from mtls_ambassador.sandbox.state import DEVICE, STATE, SandboxState
from mtls_ambassador.sandbox.wire import (
    ApiError,
    json_response,
    page_response,
    parse_object,
    read_json_body,
    text_field,
    timestamp,
)

DEVICES = "/api/devices/v1/deployments"
USERS = "/api/management/v1/deployments"
DOWNLOAD = f"{DEVICES}/download/artifact"
BAD_BODY = "Validating request body"


def routes() -> list[web.RouteDef]:
    """The routes of this module. Version 2 of `next` is Enterprise only: 404, and clients fall back."""
    return [
        web.post(f"{USERS}/artifacts", upload),
        web.get(f"{USERS}/artifacts", list_artifacts),
        web.post(f"{USERS}/deployments", create),
        web.get(f"{USERS}/deployments", list_deployments),
        web.get(f"{USERS}/deployments/{{id}}", get_deployment),
        web.get(f"{USERS}/deployments/{{id}}/statistics", statistics),
        web.get(f"{USERS}/deployments/{{id}}/devices", list_parts),
        web.get(f"{USERS}/deployments/{{id}}/devices/list", list_parts),
        web.get(f"{USERS}/deployments/{{id}}/devices/{{device}}/log", get_log),
        web.put(f"{USERS}/deployments/{{id}}/status", abort),
        web.get(f"{DEVICES}/device/deployments/next", next_by_query),
        web.post(f"{DEVICES}/device/deployments/next", next_by_body),
        web.put(f"{DEVICES}/device/deployments/{{id}}/status", report),
        web.put(f"{DEVICES}/device/deployments/{{id}}/log", save_log),
        web.get(f"{DOWNLOAD}/{{id}}", download),
    ]


# Users


async def upload(request: web.Request) -> web.Response:
    """A multipart artifact, streamed to a file: 201 with `Location`, 400 unreadable, 422 already there."""
    if not request.content_type.startswith("multipart/"):
        raise ApiError(415, "Bad Content-Type, expected 'multipart/form-data', 'multipart/mixed'")
    state = request.app[STATE]
    description = ""
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise ApiError(400, "nested multipart is not an artifact")
        if part.name == "description":
            description = (await part.read(decode=True))[:4096].decode(errors="replace")
        elif part.name == "artifact":
            path = state.folder / f"{uuid4()}.mender"
            size = await _write(part, path)
            artifact = _take_in(state, path, size, description)
            return web.Response(status=201, headers={"Location": f"{USERS}/artifacts/{artifact.id}"})
    raise ApiError(400, "request does not contain the artifact file")


async def _write(part: BodyPartReader, path: Path) -> int:
    size = 0
    with path.open("wb") as file:
        while chunk := await part.read_chunk(262_144):
            size += len(chunk)
            file.write(chunk)
    return size


def _take_in(state: SandboxState, path: Path, size: int, description: str) -> Artifact:
    try:
        return state.deployments.add_artifact(read_artifact(path), path, size, description)
    except ArtifactError as error:
        path.unlink()
        raise ApiError(400, f"Cannot parse artifact file: {error}") from None
    except DeploymentError as error:
        path.unlink()
        raise ApiError(error.status, str(error)) from None


async def list_artifacts(request: web.Request) -> web.Response:
    """All artifacts."""
    return json_response([_artifact_json(a) for a in request.app[STATE].deployments.artifacts.values()])


async def create(request: web.Request) -> web.Response:
    """A deployment for `devices`, or for `all_devices` accepted now: 201 with `Location`."""
    body = parse_object(await read_json_body(request), BAD_BODY)
    name, artifact_name = text_field(body, "name", BAD_BODY), text_field(body, "artifact_name", BAD_BODY)
    devices, everyone = body.get("devices"), body.get("all_devices", False)
    if not name or not artifact_name:
        raise ApiError(400, f"{BAD_BODY}: {'name' if not name else 'artifact_name'}: cannot be blank.")
    if everyone is True and not devices:
        ids = [device.id for device in request.app[STATE].devauth.devices({Status.ACCEPTED})]
    elif isinstance(devices, list) and devices and everyone is False:
        ids = [str(device) for device in devices]
    else:
        raise ApiError(400, f"{BAD_BODY}: either devices or all_devices must be given")
    try:
        deployment = request.app[STATE].deployments.create(name, artifact_name, ids)
    except DeploymentError as error:
        raise ApiError(error.status, str(error)) from None
    return web.Response(status=201, headers={"Location": f"{USERS}/deployments/{deployment.id}"})


async def list_deployments(request: web.Request) -> web.Response:
    """A page of deployments, newest first."""
    found = sorted(request.app[STATE].deployments.deployments.values(), key=lambda d: d.created, reverse=True)
    return page_response(request, found, _deployment_json)


async def get_deployment(request: web.Request) -> web.Response:
    """One deployment."""
    return json_response(_deployment_json(_deployment(request)))


async def statistics(request: web.Request) -> web.Response:
    """How many devices are where."""
    return json_response(_deployment(request).statistics)


async def list_parts(request: web.Request) -> web.Response:
    """Where each device is."""
    return json_response([_part_json(part) for part in _deployment(request).devices.values()])


async def get_log(request: web.Request) -> web.Response:
    """What a device logged of a failed installation, as text."""
    part = _deployment(request).devices.get(request.match_info["device"])
    if part is None or not part.log:
        raise ApiError(404, "Resource not found")
    lines = [f"{m.get('timestamp')} {m.get('level')}: {m.get('message')}\n" for m in part.log]
    return web.Response(text="".join(lines))


async def abort(request: web.Request) -> web.Response:
    """End a deployment: the only status a user may set is `aborted`."""
    body = parse_object(await read_json_body(request), BAD_BODY)
    if body.get("status") != "aborted":
        raise ApiError(400, "Unexpected deployment status")
    try:
        request.app[STATE].deployments.abort(request.match_info["id"])
    except DeploymentError as error:
        raise ApiError(error.status, str(error)) from None
    return web.Response(status=204)


# Devices


async def next_by_query(request: web.Request) -> web.Response:
    """`GET …/next?artifact_name&device_type`."""
    return _next(request, NextRequest(request.query.get("artifact_name", ""), request.query.get("device_type", "")))


async def next_by_body(request: web.Request) -> web.Response:
    """`POST …/next` with a flat object."""
    body = parse_object(await read_json_body(request), "cannot parse request")
    provides = body.get("artifact_provides") or {}
    if not isinstance(provides, dict):
        raise ApiError(400, "artifact_provides: must be an object")
    pairs = tuple(sorted((str(key), str(value)) for key, value in provides.items()))
    name, kind = (text_field(body, field, "cannot parse request") for field in ("artifact_name", "device_type"))
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
    body = parse_object(await read_json_body(request), "cannot parse request")
    status, substate = (text_field(body, field, "cannot parse request") for field in ("status", "substate"))
    if status not in set(Progress):
        raise ApiError(400, f"invalid status for device '{status}'")
    try:
        request.app[STATE].deployments.report(request[DEVICE].id, request.match_info["id"], Progress(status), substate)
    except DeploymentError as error:
        raise ApiError(error.status, str(error)) from None
    return web.Response(status=204)


async def save_log(request: web.Request) -> web.Response:
    """`PUT …/log`: 204; 413 above 1 MiB."""
    messages = parse_object(await read_json_body(request), "cannot parse request").get("messages")
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


def _deployment(request: web.Request) -> Deployment:
    try:
        return request.app[STATE].deployments.get(request.match_info["id"])
    except DeploymentError as error:
        raise ApiError(error.status, str(error)) from None


def _artifact_json(artifact: Artifact) -> Mapping[str, object]:
    return {
        "id": artifact.id,
        "name": artifact.info.name,
        "description": artifact.description,
        "device_types_compatible": artifact.info.device_types,
        "updates": [{"type_info": {"type": kind}} for kind in artifact.info.payload_types],
        "size": artifact.size,
        "modified": timestamp(artifact.modified),
    }


def _deployment_json(deployment: Deployment) -> Mapping[str, object]:
    return {
        "id": deployment.id,
        "name": deployment.name,
        "artifact_name": deployment.artifact_name,
        "created": timestamp(deployment.created),
        "status": deployment.status,
        "device_count": len(deployment.devices),
        "statistics": {"status": deployment.statistics},
    }


def _part_json(part: DeviceDeployment) -> Mapping[str, object]:
    value: dict[str, object] = {
        "id": part.device_id,
        "status": part.status,
        "created": timestamp(part.created),
        "log": bool(part.log),
    }
    if part.substate:
        value["substate"] = part.substate
    for name, moment in (("started", part.started), ("finished", part.finished)):
        if moment:
            value[name] = timestamp(moment)
    return value
