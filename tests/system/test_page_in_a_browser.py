"""The operator page in a real browser, over a store with hostile texts: for everybody to read, live, self-contained."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has none
from playwright.async_api import Browser, expect

from mtls_ambassador.store.ledger_tables import refusal
from mtls_ambassador.web.context import Context
from support.admin import admin_context
from support.chromium import PHONE, chromium, tab
from support.fleet import Fleet
from support.page import browsing, page_app

PAGES = ("/", "/devices", "/refusals", "/events", "/certificates", "/batches", "/denials", "/settings", "/why")
MUST_NOT_BE = {"serious", "critical"}


@asynccontextmanager
async def looked_at(folder: Path) -> AsyncIterator[tuple[Browser, str, Context]]:
    async with admin_context(folder) as context:
        await context.database.run(Fleet(dt.datetime.now(dt.UTC), hostile=True).fill)
        async with browsing(page_app(context)) as served, chromium() as browser:
            yield browser, served.url, context


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_serious_issue(tmp_path: Path, scheme: Literal["light", "dark"]) -> None:
    async with looked_at(tmp_path) as (browser, url, _), tab(browser, url, scheme=scheme) as seen:
        for path in (*PAGES, await a_device(browser, url)):
            await seen.go(path)
            found = (await Axe().run(seen.page)).response["violations"]
            worst = [
                f"{path}: {item['id']}: {item['nodes'][0]['html']}" for item in found if item["impact"] in MUST_NOT_BE
            ]
            assert not worst
            await seen.picture(tmp_path, f"{name_of(path)}-{scheme}")


async def test_a_phone_scrolls_down_only(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as (browser, url, _), tab(browser, url, size=PHONE) as seen:
        for path in (*PAGES, await a_device(browser, url)):
            await seen.go(path)
            assert await seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], path
            await seen.picture(tmp_path, f"{name_of(path)}-phone")


async def test_what_happens_appears_without_a_reload(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as (browser, url, context), tab(browser, url) as seen:
        await seen.go("/refusals")
        await expect(seen.page.locator("#live")).to_have_text("Live")
        await seen.page.evaluate("window.same = true")
        row: dict[str, object] = dict.fromkeys((column.name for column in refusal.c if column.name != "id"), "")
        now = context.now()
        row |= {
            "first_at": now,
            "at": now,
            "count": 1,
            "kind": "handshake",
            "cause": "plain-http",
            "address": "192.0.2.77",
        }
        await context.database.run(lambda c: c.execute(refusal.insert().values(**row)))
        context.live.publish("refusal")
        await expect(seen.page.get_by_role("link", name="192.0.2.77", exact=True)).to_be_visible()
        assert await seen.page.evaluate("window.same")


async def test_a_device_is_found_by_keyboard_alone(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as (browser, url, _), tab(browser, url) as seen:
        await seen.go("/")
        press = seen.page.keyboard.press
        await press("Tab")
        await expect(seen.page.get_by_role("link", name="Skip to the content")).to_be_focused()
        for _ in range(3):
            await press("Tab")
        await press("Enter")
        await seen.page.wait_for_url("**/devices")
        while not await seen.page.evaluate("document.activeElement.id === 'q'"):
            await press("Tab")
        await seen.page.keyboard.type("cam-0012")
        await press("Enter")
        await seen.page.wait_for_url("**q=cam-0012**")
        await expect(seen.page.locator("[data-row]")).to_have_count(1)


async def test_all_is_there_without_a_script(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as (browser, url, _), tab(browser, url, script=False) as seen:
        await seen.go("/devices")
        assert await seen.page.locator("[data-row]").count() == 50
        await seen.page.get_by_role("link", name="Next page").click()
        assert await seen.page.locator("[data-row]").count() == 15


def name_of(path: str) -> str:
    """Of a page's picture."""
    return "device" if path.startswith("/devices/") else path.strip("/") or "overview"


async def a_device(browser: Browser, url: str) -> str:
    """The path of the one that another certificate asks for."""
    async with tab(browser, url) as seen:
        await seen.go("/devices?q=cam-0012")
        return str(await seen.page.locator("[data-row] a").first.get_attribute("href"))
