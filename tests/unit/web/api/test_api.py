"""The management API by hand: scopes, one shape for every refusal, bounds, paging, actions, and what happens live."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from runpy import run_path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from mtls_ambassador.model.operator import Scope
from mtls_ambassador.settings import Secret
from mtls_ambassador.store.audit import read_all
from mtls_ambassador.store.tables import device
from mtls_ambassador.web.api.routes import ENDPOINTS
from mtls_ambassador.web.context import Context
from support.admin import admin_context
from support.api import READ, WRITE, serving_api

IS_JSON = {"Content-Type": "application/json"}
FILL = run_path(str(Path(__file__).parents[4] / "benchmarks" / "measure" / "fleet_rows.py"))["fill"]


@dataclass(frozen=True, slots=True)
class Client:
    """Of a program."""

    session: aiohttp.ClientSession
    url: str
    context: Context

    async def ask(self, method: str, path: str, *, token: str = WRITE, **given: Any) -> tuple[int, Any]:  # noqa: ANN401 - as aiohttp takes it
        headers = {"Authorization": f"Bearer {token}"} | given.pop("headers", {})
        async with self.session.request(method, f"{self.url}/api/v1{path}", headers=headers, **given) as answer:
            assert answer.headers["X-MEN-RequestID"]
            return answer.status, await answer.json()

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        status, found = await self.ask("GET", path)
        assert status == 200, found
        return found


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Client]:
    async with admin_context(tmp_path, mender_password=Secret("s3cret-pass")) as context:
        with context.database.transaction() as connection:
            FILL(connection, 120, 20, dt.datetime.now(dt.UTC))
        async with serving_api(context) as url, aiohttp.ClientSession() as session:
            yield Client(session, url, context)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda item: f"{item.method} {item.path}")
async def test_nobody_gets_in_without_the_scope(api: Client, endpoint: Any) -> None:  # noqa: ANN401 - an Endpoint
    path = endpoint.path.replace("{identity}", "0" * 64)
    status, found = await api.ask(endpoint.method, path, token="wrong", json={})
    assert (status, sorted(found)) == (401, ["error", "request_id"])
    if endpoint.scope is Scope.WRITE:
        status, found = await api.ask(endpoint.method, path, token=READ, json={})
        assert (status, found["error"]) == (403, "Forbidden: the scope write is needed")
    assert await api.context.database.run(lambda c: len(read_all(c))) == 120


def test_what_changes_something_needs_to_write() -> None:
    asks = {"/why"}  # changes nothing; what is asked about is too long for an address
    assert {item.scope for item in ENDPOINTS if item.method != "GET" and item.path not in asks} == {Scope.WRITE}
    secret = {"/tokens"}  # who else may come in is for those who may let them
    assert {item.scope for item in ENDPOINTS if item.method == "GET" and item.path not in secret} == {Scope.READ}


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "words"),
    [
        ("GET", "", {}, 404, "there is no such path"),
        ("GET", "/nothing", {}, 404, "there is no such path"),
        ("GET", "/devices/" + "0" * 64, {}, 404, "no device with this identity"),
        ("GET", "/devices/..%2fdenials", {}, 404, "there is no such path"),
        ("GET", "/devices/" + "0" * 64 + "%0a", {}, 404, "there is no such path"),
        ("DELETE", "/devices", {}, 405, "Method Not Allowed"),
        ("GET", "/devices?limit=501", {}, 400, "limit: Expected `int` <= 500"),
        ("GET", "/devices?limit=x", {}, 400, "limit: Expected `int`"),
        ("GET", "/devices?limit=1&limit=2", {}, 400, "limit: given twice"),
        ("GET", "/devices?order=up", {}, 400, "'order': no such parameter; there is after, limit, "),
        ("GET", "/devices?standing=gone", {}, 400, "standing: Invalid enum value"),
        ("GET", "/devices?silent_since=today", {}, 400, "silent_since: Invalid RFC3339"),
        ("GET", "/devices?after=W10", {}, 422, "after: is not the `next`"),
        ("GET", "/tallies", {}, 400, "missing required field `kind`"),
        ("POST", "/denials", {"data": "{}"}, 415, "the body must be application/json"),
        ("POST", "/denials", {"data": b"{", "headers": IS_JSON}, 400, "is not JSON"),
        ("POST", "/denials", {"data": b"\xff", "headers": IS_JSON}, 400, "JSON"),
        ("POST", "/denials", {"data": b"[" * 5000, "headers": IS_JSON}, 400, "JSON"),
        ("POST", "/denials", {"json": {"serial": "4f"}}, 400, "unknown field `serial`"),
        ("POST", "/denials", {"json": {"serials": ["xyz"]}}, 400, "serials[0]: "),
        ("POST", "/denials", {"data": BytesIO(b"x" * 1_100_000), "headers": IS_JSON}, 413, "Request Entity Too Large"),
        ("POST", "/denials", {"json": {}}, 422, "say what to deny"),
        ("POST", "/denials", {"json": {"identities": ["mac"]}}, 422, "identities: "),
        ("POST", "/denials", {"json": {"certificates": ["x"]}}, 422, "certificates: is no PEM"),
        ("POST", "/denials", {"json": {"serials": ["4f"], "until": "2001-01-01T00:00:00Z"}}, 422, "until: is over"),
        ("POST", "/denials", {"json": {"batches": ["lot-9"]}}, 409, "there is no batch 'lot-9'"),
        ("POST", "/denials", {"json": {"issued_from": "2026-11-01T00:00:00Z"}}, 422, "issued_from, issued_before"),
        ("POST", "/denials", {"json": {"unseen": True}}, 422, "unseen: goes with issuer alone"),
        ("POST", "/denials", {"json": {"issuer": "CN=x", "keys": ["0" * 64]}}, 422, "issuer: goes with serials"),
        ("POST", "/denials/restore", {"json": {"numbers": [7]}}, 409, "no standing denial has the number 7"),
        ("POST", "/denials/restore", {"json": {}}, 422, "say what to let in again"),
    ],
)
async def test_a_refusal_names_what_is_wrong(
    api: Client, method: str, path: str, given: dict[str, Any], status: int, words: str
) -> None:
    headers = given.get("headers", {}) | {"X-MEN-RequestID": "mine"}
    found = await api.ask(method, path, **(given | {"headers": headers}))
    assert found[0] == status, found
    assert words in found[1]["error"]
    assert found[1]["request_id"] == "mine"


async def test_a_request_id_that_is_none_is_not_given_back(api: Client) -> None:
    _, found = await api.ask("GET", "/nothing", headers={"X-MEN-RequestID": "a b" + "x" * 80})
    assert len(found["request_id"]) == 36


async def test_a_fault_inside_tells_nothing(api: Client) -> None:
    with api.context.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE device SET standing = 'secret-standing'")
    status, found = await api.ask("GET", "/devices")
    assert (status, found["error"]) == (500, "internal error; the gateway's log has it")


async def test_a_store_that_fails_is_told(api: Client) -> None:
    with api.context.database.transaction() as connection:
        for table in ("contact", "denial"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    for method, path, body in (("GET", "/devices", None), ("POST", "/denials", {"serials": ["4f"]})):
        status, found = await api.ask(method, path, json=body)
        assert status == 503
        assert "no such table" in found["error"]


async def test_every_device_once_page_after_page(api: Client) -> None:
    seen: list[str] = []
    after = ""
    while True:
        page = await api.get(f"/devices?limit=50&after={after}")
        seen += [item["identity_sha256"] for item in page["items"]]
        after = page["next"]
        if not after:
            break
    assert len(seen) == len(set(seen)) == 120
    found = await api.get("/devices?text=dev-0000007")
    assert [item["certificate_subject"][:14] for item in found["items"]] == ["CN=dev-0000007"]
    one = await api.get(f"/devices/{found['items'][0]['identity_sha256']}")
    assert (len(one["pins"]), len(one["certificates"]), len(one["events"])) == (1, 1, 1)
    assert one["certificates"][0]["contact"]["address"] == "10.0.0.7"


async def test_lists_and_overview(api: Client) -> None:
    overview = await api.get("/overview")
    assert (overview["ready"], overview["counts"]["certificates"]) == (True, 120)
    assert overview["counts"]["devices"] == {"accepted": 117, "withdrawn": 3}
    assert [item["enrolled"] for item in (await api.get("/batches"))["items"]] == [120]
    assert len((await api.get("/certificates?name=dev-000001"))["items"]) == 10
    assert len((await api.get("/refusals?cause=expired"))["items"]) == 4
    assert len((await api.get("/events?limit=500"))["items"]) == 120
    assert (await api.get("/tallies?kind=calls"))["items"] == []
    assert (await api.get("/inputs"))["ready"] is True


async def test_settings_hide_secrets(api: Client) -> None:
    found = await api.get("/settings")
    assert "s3cret-pass" not in json.dumps(found)
    assert {"MTLS_MENDER_PASS": "hidden"}.items() <= {item["name"]: item["value"] for item in found["items"]}.items()


async def test_denied_and_restored(api: Client) -> None:
    device_row = (await api.get("/devices?limit=1"))["items"][0]
    body = {"identities": [device_row["identity"]], "reason": "keyCompromise", "note": "stolen"}
    status, would = await api.ask("POST", "/denials", json=body | {"dry_run": True})
    assert (status, would["devices"], would["denied"][0]["number"]) == (200, 1, None)
    assert (await api.get("/denials"))["items"] == []
    with api.context.live.listen() as happenings:
        status, done = await api.ask("POST", "/denials", json=body)
        assert (await happenings.get()).kind == "denial"
    assert (status, done["denied"][0]["by"]) == (200, "marta (token)")
    _, again = await api.ask("POST", "/denials", json=body)
    assert (again["denied"], len(again["already"])) == ([], 1)
    one = await api.get(f"/devices/{device_row['identity_sha256']}")
    assert [item["kind"] for item in one["denials"]] == ["key"]
    number = (await api.get("/denials"))["items"][0]["number"]
    status, lifted = await api.ask("POST", "/denials/restore", json={"numbers": [number]})
    assert (status, [item["number"] for item in lifted["lifted"]]) == (200, [number])
    past = (await api.get("/denials?with_past=true"))["items"]
    assert [(item["lifted_by"], item["in_force"]) for item in past] == [("marta (token)", False)]


async def test_an_approval_needs_what_it_approves(api: Client) -> None:
    own = (await api.get("/devices?limit=1"))["items"][0]["identity_sha256"]
    for body, status, words in (
        ({}, 422, "give one of the two"),
        ({"certificate": "x", "key": "0" * 64}, 422, "give one of the two"),
        ({"key": "0" * 64}, 409, "no certificate of this key was refused"),
        ({"certificate": "x"}, 409, "certificate: is no PEM certificate"),
    ):
        found = await api.ask("POST", f"/devices/{own}/approve", json=body)
        assert found[0] == status
        assert words in found[1]["error"]
    assert (await api.ask("POST", f"/devices/{'0' * 64}/approve", json={"key": "0" * 64}))[0] == 404


async def test_what_happens_is_told_as_it_happens(api: Client) -> None:
    headers = {"Authorization": f"Bearer {READ}"}
    async with api.session.get(f"{api.url}/api/v1/live", headers=headers) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        api.context.live.publish("refusal", cause="expired", subject="CN=\n\nevent: forged")
        async with asyncio.timeout(10):
            lines = [await stream.content.readline() for _ in range(3)]
    assert lines[0] == b"event: refusal\n"
    assert json.loads(lines[1].removeprefix(b"data: "))["subject"] == "CN=\n\nevent: forged"
    assert lines[2] == b"\n"


async def test_listeners_are_bounded(api: Client) -> None:
    with api.context.live.listen() as _:
        streams = [api.context.live.listen() for _ in range(63)]
        for stream in streams:
            stream.__enter__()
        status, found = await api.ask("GET", "/live")
        for stream in streams:
            stream.__exit__(None, None, None)
    assert (status, found["error"]) == (503, "64 listen already")


async def test_texts_of_devices_come_through_as_they_are(api: Client) -> None:
    hostile = '<b>"\u202e\x1b[31m'
    with api.context.database.transaction() as connection:
        newest = sa.select(sa.func.max(device.c.number)).scalar_subquery()
        connection.execute(sa.update(device).where(device.c.number == newest).values(certificate_subject=hostile))
    assert (await api.get("/devices?limit=1"))["items"][0]["certificate_subject"] == hostile
