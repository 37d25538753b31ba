"""The verdict as a page: by name, by a pasted certificate, and as a part of the device's page."""

import datetime as dt
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mtls_ambassador.pki.issue import make_ca, make_device
from support.admin import admin_context
from support.fleet import Fleet
from support.page import Browser, browsing, page_app
from support.pki import validity


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    ca = make_ca("Our CA", validity())
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(ca.certificate_pem)
    async with admin_context(tmp_path, tenant_ca=bundle) as context:
        await context.database.run(Fleet(dt.datetime.now(dt.UTC), size=20).fill)
        async with browsing(page_app(context)) as found:
            yield found


async def test_by_a_part_of_its_texts(browser: Browser) -> None:
    found = await browser.get("/why?q=cam-0012")
    assert found.status == 200
    assert "<code>identity-taken</code>" in found.text
    assert "mtls-ambassador device approve" in found.text
    other = await browser.get("/why?q=cam-0002")
    assert "<code>upstream-unreachable</code>" in other.text, "no Mender server is there"


async def test_by_a_certificate_of_a_stranger(browser: Browser) -> None:
    stranger = make_device(make_ca("Strange CA", validity()), "x", validity()).certificate_pem.decode()
    found = await browser.post("/why", pem=stranger, csrf="csrf")
    assert found.status == 200
    assert "unknown-ca" in found.text
    assert "CN=Strange CA" in found.text
    assert (await browser.post("/why", pem=stranger)).status == 403


@pytest.mark.parametrize("asked", ["nobody-at-all", "<b>x</b>", "{", "-----BEGIN x"])
async def test_what_nobody_knows_is_told(browser: Browser, asked: str) -> None:
    found = await browser.post("/why", pem=asked, csrf="csrf")
    assert found.status == 422
    assert "<b>x" not in found.text


async def test_as_a_part_of_the_devices_page(browser: Browser) -> None:
    device = Fleet(dt.datetime.now(dt.UTC), size=20)

    path = f"/devices/{hashlib.sha256(device.identity(3, 'cam-0004').encode()).hexdigest()}"
    assert f'data-load="{path}/why"' in (await browser.get(path)).text
    part = await browser.get(f"{path}/why")
    assert "data-part" in part.text
    assert '<ol class="steps">' in part.text
    assert (await browser.get(f"/devices/{'0' * 64}/why")).status == 404
