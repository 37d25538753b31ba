"""A deployment from upload to success, with downloads as a device makes them."""

import asyncio
import hashlib
import io
import subprocess
from urllib.parse import urlsplit

import aiohttp
import pytest

from support.sandbox_caller import DEVAUTH, Answer, Caller, Enrolled

USERS = "/api/management/v1/deployments"
DEVICES = "/api/devices/v1/deployments/device/deployments"
REBOOTING = {"status": "rebooting", "substate": "halfway"}
ASK = {"artifact_name": "old", "device_type": "board"}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("artifact")
    payload, path = folder / "payload", folder / "a.mender"
    payload.write_bytes(b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(80_000)))
    made = ["mender-artifact", "write", "module-image", "-T", "script", "-n", "release-1", "-t", "board"]
    subprocess.run([*made, "-f", payload, "-o", path], check=True, capture_output=True)
    return path.read_bytes()


def stored(caller: Caller) -> int:
    return len(list(caller.sandbox.state.folder.iterdir()))


async def upload(caller: Caller, data: bytes, field: str = "artifact") -> Answer:
    form = aiohttp.FormData()
    form.add_field("size", str(len(data)))
    form.add_field("description", "first")
    form.add_field(field, io.BytesIO(data), filename="a.mender", content_type="application/octet-stream")
    return await caller.manage("POST", f"{USERS}/artifacts", data=form)


async def deployed(caller: Caller, artifact: bytes) -> tuple[Enrolled, str, str]:
    """A device, its deployment and the link to the artifact."""
    device = await caller.enrol()
    assert (await upload(caller, artifact)).status == 201
    body = {"name": "all", "artifact_name": "release-1", "all_devices": True}
    made = await caller.manage("POST", f"{USERS}/deployments", json=body)
    assert made.status == 201
    found = (await caller.as_device("POST", f"{DEVICES}/next", device.token, json=ASK)).json
    assert made.headers["Location"] == f"{USERS}/deployments/{found['id']}"
    return device, found["id"], found["artifact"]["source"]["uri"]


async def test_from_upload_to_success(caller: Caller, artifact: bytes) -> None:
    device, deployment, link = await deployed(caller, artifact)
    async with caller.session.get(link) as response:
        assert await response.read() == artifact
        assert response.content_length == len(artifact)
    for status in ("downloading", "installing", "success"):
        path = f"{DEVICES}/{deployment}/status"
        assert (await caller.as_device("PUT", path, device.token, json={"status": status})).status == 204
    query = f"{DEVICES}/next?artifact_name=release-1&device_type=board"
    assert (await caller.as_device("GET", query, device.token)).status == 204
    shown = (await caller.manage("GET", f"{USERS}/deployments/{deployment}")).json
    assert (shown["status"], shown["statistics"]["status"]["success"], shown["device_count"]) == ("finished", 1, 1)
    (part,) = (await caller.manage("GET", f"{USERS}/deployments/{deployment}/devices")).json
    assert (part["id"], part["status"], "finished" in part) == (device.id, "success", True)


async def test_get_and_post_ask_alike(caller: Caller, artifact: bytes) -> None:
    device, deployment, _ = await deployed(caller, artifact)
    answer = await caller.as_device("GET", f"{DEVICES}/next?artifact_name=old&device_type=board", device.token)
    assert answer.json["id"] == deployment
    assert answer.json["artifact"]["artifact_name"] == "release-1"
    assert answer.json["artifact"]["device_types_compatible"] == ["board"]


async def test_asking_differently_is_409(caller: Caller, artifact: bytes) -> None:
    device, _, _ = await deployed(caller, artifact)
    answer = await caller.as_device("POST", f"{DEVICES}/next", device.token, json={**ASK, "artifact_name": "x"})
    assert answer.status == 409


@pytest.mark.parametrize("body", [{}, {"artifact_name": "a"}, {**ASK, "artifact_provides": []}])
async def test_incomplete_questions_are_400(caller: Caller, body: object) -> None:
    device = await caller.enrol()
    answer = await caller.as_device("POST", f"{DEVICES}/next", device.token, json=body)
    assert answer.status in {204, 400}
    assert (await caller.as_device("GET", f"{DEVICES}/next", device.token)).status == 400


async def test_a_download_is_resumed_with_a_range(caller: Caller, artifact: bytes) -> None:
    _, _, link = await deployed(caller, artifact)
    whole = artifact
    for text, start, stop in [("1000-", 1000, len(whole)), ("5-9", 5, 10), (f"0-{len(whole)}", 0, len(whole))]:
        async with caller.session.get(link, headers={"Range": f"bytes={text}"}) as response:
            assert response.status == 206
            assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
            assert await response.read() == whole[start:stop]
    async with caller.session.get(link, headers={"Range": f"bytes={len(whole)}-"}) as response:
        assert response.status == 416


async def test_a_link_needs_no_token_but_its_own_proof(caller: Caller, artifact: bytes) -> None:
    _, _, link = await deployed(caller, artifact)
    parts = urlsplit(link)
    for query, status in [("", 400), (parts.query + "0", 403), (parts.query.replace("expire=", "expire=9"), 403)]:
        assert (await caller.call("GET", f"{parts.path}?{query}")).status == status
    assert (await caller.call("GET", f"{parts.path}x?{parts.query}")).status == 403


async def test_a_link_points_to_where_the_device_came_in(caller: Caller, artifact: bytes) -> None:
    device, _, link = await deployed(caller, artifact)
    assert link.startswith(caller.sandbox.url)
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "gateway.example:8443"}
    answer = await caller.as_device("POST", f"{DEVICES}/next", device.token, json=ASK, headers=proxied)
    assert answer.json["artifact"]["source"]["uri"].startswith("https://gateway.example:8443/api/devices/v1/")


async def test_bad_uploads_are_refused_and_leave_no_file(caller: Caller, artifact: bytes) -> None:
    assert (await upload(caller, b"nix")).status == 400
    assert (await upload(caller, b"nix", field="other")).status == 400
    assert (await caller.manage("POST", f"{USERS}/artifacts", json={})).status == 415
    assert (await upload(caller, artifact)).status == 201
    assert (await upload(caller, artifact)).status == 409
    assert stored(caller) == 1
    (listed,) = (await caller.manage("GET", f"{USERS}/artifacts")).json
    assert (listed["name"], listed["description"], listed["size"]) == ("release-1", "first", len(artifact))


@pytest.mark.parametrize("body", [b"", b"x", b"--a\r\n", b"--a\r\nContent-Disposition: form-data\r\n\r\nx"])
@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=a"])
async def test_malformed_multipart_is_400(caller: Caller, kind: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {(await caller.login()).text}", "Content-Type": kind}
    answer = await caller.call("POST", f"{USERS}/artifacts", data=body, headers=headers)
    assert (answer.status, stored(caller)) == (400, 0)


async def test_an_upload_that_breaks_off_leaves_no_file(caller: Caller, artifact: bytes) -> None:
    token = (await caller.login()).text
    reader, writer = await asyncio.open_connection(caller.sandbox.host, caller.sandbox.port)
    part = b'--a\r\nContent-Disposition: form-data; name="artifact"; filename="a"\r\n\r\n'
    head = (
        f"POST {USERS}/artifacts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 9999999\r\n"
        "Content-Type: multipart/form-data; boundary=a\r\n\r\n"
    )
    writer.write(head.encode() + part + artifact[:1_000_000])
    while not stored(caller):
        await caller.call("GET", "/sandbox/faults")
    writer.close()
    while stored(caller):
        await caller.call("GET", "/sandbox/faults")
    assert await reader.read() == b""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"name": "a", "artifact_name": "b"}, 400),
        ({"name": "a", "artifact_name": "b", "devices": ["x"], "all_devices": True}, 400),
        ({"name": "a", "artifact_name": "b", "all_devices": True}, 400),
        ({"name": "a", "artifact_name": "b", "devices": ["x"]}, 422),
    ],
)
async def test_bad_orders(caller: Caller, body: object, status: int) -> None:
    assert (await caller.manage("POST", f"{USERS}/deployments", json=body)).status == status


async def test_an_aborted_deployment_is_409_to_the_device(caller: Caller, artifact: bytes) -> None:
    device, deployment, _ = await deployed(caller, artifact)
    path = f"{USERS}/deployments/{deployment}/status"
    assert (await caller.manage("PUT", path, json={"status": "success"})).status == 400
    assert (await caller.manage("PUT", path, json={"status": "aborted"})).status == 204
    path = f"{DEVICES}/{deployment}/status"
    assert (await caller.as_device("PUT", path, device.token, json={"status": "installing"})).status == 409
    assert (await caller.as_device("PUT", path, device.token, json={"status": "nix"})).status == 400


async def test_a_log_is_kept_and_bounded(caller: Caller, artifact: bytes) -> None:
    device, deployment, _ = await deployed(caller, artifact)
    line = {"timestamp": "2026-01-01T00:00:00Z", "level": "error", "message": "it broke"}
    path = f"{DEVICES}/{deployment}/log"
    assert (await caller.as_device("PUT", path, device.token, json={"messages": [line]})).status == 204
    shown = await caller.manage("GET", f"{USERS}/deployments/{deployment}/devices/{device.id}/log")
    assert "it broke" in shown.text
    assert (await caller.as_device("PUT", path, device.token, json={"messages": 1})).status == 400
    big = io.BytesIO(b'{"messages":[]}' + b" " * 1_048_576)
    headers = {"Content-Type": "application/json"}
    assert (await caller.as_device("PUT", path, device.token, data=big, headers=headers)).status == 413
    assert (await caller.as_device("PUT", f"{DEVICES}/nix/log", device.token, json={"messages": []})).status == 404


async def test_version_two_is_not_there_so_clients_fall_back(caller: Caller) -> None:
    device = await caller.enrol()
    path = "/api/devices/v2/deployments/device/deployments/next"
    assert (await caller.as_device("POST", path, device.token, json={})).status == 404


async def test_deployments_are_listed_and_counted(caller: Caller, artifact: bytes) -> None:
    device, deployment, _ = await deployed(caller, artifact)
    (listed,) = (await caller.manage("GET", f"{USERS}/deployments")).json
    assert (listed["id"], listed["name"], listed["status"]) == (deployment, "all", "pending")
    assert (await caller.manage("GET", f"{USERS}/deployments/{deployment}/statistics")).json["pending"] == 1
    await caller.as_device("PUT", f"{DEVICES}/{deployment}/status", device.token, json=REBOOTING)
    (part,) = (await caller.manage("GET", f"{USERS}/deployments/{deployment}/devices/list")).json
    assert (part["status"], part["substate"]) == ("rebooting", "halfway")


async def test_what_is_not_there_is_404(caller: Caller, artifact: bytes) -> None:
    device, deployment, _ = await deployed(caller, artifact)
    for path in ("nix", "nix/devices", "nix/statistics", f"{deployment}/devices/{device.id}/log"):
        assert (await caller.manage("GET", f"{USERS}/deployments/{path}")).status == 404, path
    aborted = await caller.manage("PUT", f"{USERS}/deployments/nix/status", json={"status": "aborted"})
    assert aborted.status == 404


async def test_a_removed_device_is_decommissioned_in_its_deployments(caller: Caller, artifact: bytes) -> None:
    device, deployment, _ = await deployed(caller, artifact)
    await caller.manage("DELETE", f"{DEVAUTH}/devices/{device.id}")
    assert (await caller.manage("GET", f"{DEVAUTH}/devices/{device.id}")).status == 404
    statistics = (await caller.manage("GET", f"{USERS}/deployments/{deployment}/statistics")).json
    assert (statistics["decommissioned"], statistics["pending"]) == (1, 0)
