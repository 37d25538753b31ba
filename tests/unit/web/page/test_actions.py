"""What an operator does about a device: asked first, done once, by those who may, and in the audit."""

import datetime as dt
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mtls_ambassador.model.denial import DenialKind
from mtls_ambassador.model.operator import Scope
from mtls_ambassador.store import denials
from mtls_ambassador.store.audit import AuditEntry, append, read_all
from mtls_ambassador.web.context import Context
from support.admin import admin_context
from support.fleet import ISSUER, Fleet
from support.page import Browser, browsing, page_app

NOW = dt.datetime.now(dt.UTC)
FLEET = Fleet(NOW, size=20)


def path_of(place: int) -> str:
    """The path of the page of `cam-<place + 1>`."""
    return f"/devices/{hashlib.sha256(FLEET.identity(place, f'cam-{place + 1:04}').encode()).hexdigest()}"


@asynccontextmanager
async def desk(folder: Path, scope: Scope = Scope.WRITE) -> AsyncIterator[tuple[Browser, Context]]:
    async with admin_context(folder) as context:
        await context.database.run(Fleet(NOW, size=20).fill)
        async with browsing(page_app(context, scope)) as browser:
            yield browser, context


async def events(context: Context, name: str) -> list[AuditEntry]:
    return [entry for entry in await context.database.run(read_all) if entry.event == name]


async def standing(context: Context) -> int:
    return len(await context.database.run(denials.standing))


async def test_to_look_changes_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as (browser, context):
        before, audited = await standing(context), len(await context.database.run(read_all))
        for action in ("revoke", "restore", "approve"):
            assert (await browser.get(f"{path_of(1)}/{action}")).status == 200
        assert await standing(context) == before
        assert len(await context.database.run(read_all)) == audited


async def test_a_device_is_kept_out_and_let_in_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as (browser, context):
        before = await standing(context)
        asked = await browser.get(f"{path_of(1)}/revoke")
        assert "Denied from then on: key " in asked.text
        done = await browser.post(f"{path_of(1)}/revoke", reason="keyCompromise", note="stolen <b>", csrf="csrf")
        assert (done.status, done.headers["Location"]) == (303, f"{path_of(1)}?done=revoked")
        assert await standing(context) == before + 1
        entry = (await events(context, "deny"))[-1]
        assert "marta (loopback)" in entry.detail
        shown = await browser.get(f"{path_of(1)}?done=revoked")
        assert "Denied. It is in force" in shown.text
        assert "stolen &lt;b&gt;" in shown.text
        asked = await browser.get(f"{path_of(1)}/restore")
        (numbers,) = re.findall(r'name="numbers" value="([\d,]+)"', asked.text)
        back = await browser.post(f"{path_of(1)}/restore", numbers=numbers, csrf="csrf")
        assert back.headers["Location"].endswith("?done=restored")
        assert await standing(context) == before
        assert len(await events(context, "restore")) == 1


async def test_kept_out_twice_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as (browser, context):
        await browser.post(f"{path_of(1)}/revoke", csrf="csrf")
        before = await standing(context)
        asked = await browser.get(f"{path_of(1)}/revoke")
        assert "Denied already: key " in asked.text
        assert "<button" not in asked.text.partition("What will happen")[2]
        again = await browser.post(f"{path_of(1)}/revoke", csrf="csrf")
        assert again.headers["Location"].endswith("?done=nothing")
        assert await standing(context) == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": "because"}, "reason: must be one of"),
        ({"until": "yesterday"}, "until: must be a date and a time"),
        ({"until": "2001-01-01T00:00"}, "until: is over"),
        ({"note": "n" * 70_000}, "note: at most"),
    ],
)
async def test_a_field_at_fault_is_named_and_nothing_done(tmp_path: Path, fields: dict[str, str], said: str) -> None:
    async with desk(tmp_path) as (browser, context):
        before = await standing(context)
        answer = await browser.post(f"{path_of(1)}/revoke", csrf="csrf", **fields)
        assert answer.status in {400, 422}
        assert said in answer.text
        assert await standing(context) == before


async def test_only_what_was_asked_about_is_restored(tmp_path: Path) -> None:
    async with desk(tmp_path) as (browser, context):
        await browser.post(f"{path_of(1)}/revoke", csrf="csrf")
        await browser.post(f"{path_of(2)}/revoke", csrf="csrf")
        (_, others) = [
            item.number for item in await context.database.run(denials.standing) if item.kind is DenialKind.KEY
        ][-2:]
        before = await standing(context)
        for numbers in (str(others), "", "x", "9" * 30):
            answer = await browser.post(f"{path_of(1)}/restore", numbers=numbers, csrf="csrf")
            assert answer.status == 422
        assert await standing(context) == before


async def test_a_move_is_approved(tmp_path: Path) -> None:
    """The refusal of the fleet's cam-0012; the audit has it too, as in a gateway."""
    async with desk(tmp_path) as (browser, context):
        key = hashlib.sha256(b"of CN=cam-0012 spare").hexdigest()
        identity = FLEET.identity(11, "cam-0012")
        sha256 = hashlib.sha256(identity.encode()).hexdigest()
        refused = AuditEntry(
            NOW, "auth-request", "identity-taken", "", sha256, identity, key, "77", "CN=cam-0012 spare", ISSUER, key
        )
        await context.database.run(lambda c: append(c, refused))
        device = await browser.get(path_of(11))
        assert f"{path_of(11)}/approve?key={key}" in device.text
        asked = await browser.get(f"{path_of(11)}/approve?key={key}")
        assert "CN=cam-0012 spare, serial" in asked.text
        done = await browser.post(f"{path_of(11)}/approve", key=key, csrf="csrf")
        assert done.headers["Location"] == f"{path_of(11)}?done=approved"
        (entry,) = await events(context, "approve-move")
        assert (entry.detail, entry.certificate_spki_sha256) == ("by marta (loopback)", key)
        after = await browser.get(path_of(11))
        assert "Another certificate asks" not in after.text


async def test_a_key_that_was_never_refused_gets_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as (browser, context):
        answer = await browser.post(f"{path_of(1)}/approve", key="0" * 64, csrf="csrf")
        assert answer.status == 422
        assert "no certificate of this key was refused" in answer.text
        assert not await events(context, "approve-move")


@pytest.mark.parametrize("action", ["revoke", "restore", "approve"])
async def test_who_only_reads_is_neither_asked_nor_obeyed(tmp_path: Path, action: str) -> None:
    async with desk(tmp_path, Scope.READ) as (browser, context):
        before, audited = await standing(context), len(await context.database.run(read_all))
        assert (await browser.get(f"{path_of(1)}/{action}")).status == 403
        assert (await browser.post(f"{path_of(1)}/{action}", csrf="csrf")).status == 403
        assert f"/{action}" not in (await browser.get(path_of(1))).text
        assert await standing(context) == before
        assert len(await context.database.run(read_all)) == audited


async def test_a_device_without_record_has_no_actions(tmp_path: Path) -> None:
    async with desk(tmp_path) as (browser, _):
        assert (await browser.get(f"/devices/{'0' * 64}/revoke")).status == 404
