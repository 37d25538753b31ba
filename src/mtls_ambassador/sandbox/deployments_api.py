"""Deployments as a user meets them: upload artifacts, order, look, abort."""

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
)
from mtls_ambassador.sandbox.devauth import Status
from mtls_ambassador.sandbox.state import STATE, SandboxState
from mtls_ambassador.sandbox.wire import (
    ApiError,
    json_response,
    page_response,
    parse_object,
    read_json_body,
    text_field,
    timestamp,
)

USERS = "/api/management/v1/deployments"
BAD_BODY = "Validating request body"


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
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
    ]


async def upload(request: web.Request) -> web.Response:
    """A multipart artifact, streamed to a file: 201 with `Location`, 400 unreadable, 409 already there."""
    if not request.content_type.startswith("multipart/"):
        raise ApiError(415, "Bad Content-Type, expected 'multipart/form-data', 'multipart/mixed'")
    try:
        return await _upload(request)
    except ValueError as error:
        raise ApiError(400, f"malformed multipart body: {error}") from None


async def _upload(request: web.Request) -> web.Response:
    state, description = request.app[STATE], ""
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
    """The part into a file; what came of an upload that broke off is removed."""
    size = 0
    try:
        with path.open("wb") as file:
            while chunk := await part.read_chunk(262_144):
                size += len(chunk)
                file.write(chunk)
    except BaseException:
        _discard(path)
        raise
    return size


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)


def _take_in(state: SandboxState, path: Path, size: int, description: str) -> Artifact:
    try:
        return state.deployments.add_artifact(read_artifact(path), path, size, description)
    except ArtifactError as error:
        _discard(path)
        raise ApiError(400, f"Cannot parse artifact file: {error}") from None
    except DeploymentError as error:
        _discard(path)
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
