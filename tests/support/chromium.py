"""A real browser that watches itself: what it logs, and whom it asks."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

CHROMIUM = "/usr/bin/chromium"
PICTURES = "PAGE_SCREENSHOTS"
"""Environment variable: the folder for pictures; without it they go to the test's own."""
PHONE = (390, 844)
DESK = (1280, 800)


@dataclass
class Tab:
    """A page, and what was wrong with it."""

    page: Page
    home: str
    faults: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Parts of messages that a test brings about itself."""

    async def go(self, path: str) -> None:
        """To a path of the gateway, until it and its files are there."""
        await self.page.goto(f"{self.home}{path}", wait_until="load")

    async def picture(self, folder: Path, name: str) -> None:
        """Of the whole page; folders are made where they lack."""
        place = Path(os.environ.get(PICTURES) or folder)
        await self.page.screenshot(path=place / f"{name}.png", full_page=True)

    def on_console(self, message: ConsoleMessage) -> None:
        """Errors and warnings, among them what the content security policy forbade."""
        if message.type in {"error", "warning"} and not any(part in message.text for part in self.expected):
            self.faults.append(f"{self.page.url}: console {message.type}: {message.text}")

    def on_request(self, request: Request) -> None:
        """A request that leaves the gateway."""
        if not request.url.startswith((self.home, "data:", "about:")):
            self.faults.append(f"{self.page.url}: asks {request.url}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's, without a screen; as root it needs to be told that it has no sandbox."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def tab(
    browser: Browser,
    home: str,
    *,
    size: tuple[int, int] = DESK,
    scheme: Literal["dark", "light"] = "light",
    script: bool = True,
    expected: tuple[str, ...] = (),
) -> AsyncIterator[Tab]:
    """A fresh window. At the end of the block it must have had nothing to complain about."""
    context: BrowserContext = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=script,
        reduced_motion="reduce",
        ignore_https_errors=True,
    )
    context.set_default_timeout(20_000)
    found = Tab(await context.new_page(), home, expected=expected)
    found.page.on("console", found.on_console)
    found.page.on("pageerror", lambda error: found.faults.append(f"{found.page.url}: {error}"))
    context.on("request", found.on_request)
    try:
        yield found
    finally:
        await context.close()
    assert not found.faults, "\n".join(found.faults)
