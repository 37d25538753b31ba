"""Writes the pictures of the README: the operator page over a fleet that nobody has, in Debian's Chromium.

`.venv/bin/python scripts/screenshots.py`
"""

import asyncio
import datetime as dt
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.admin import admin_context  # noqa: E402 - from the folder that was just named
from support.chromium import chromium, tab  # noqa: E402
from support.fleet import Fleet  # noqa: E402
from support.page import browsing, page_app  # noqa: E402

FOLDER = ROOT / "docs" / "images"


async def main() -> None:
    """Overview in the light, a device that another certificate asks for in the dark."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    fleet = Fleet(dt.datetime.now(dt.UTC), size=240)
    device = hashlib.sha256(fleet.identity(11, "cam-0012").encode()).hexdigest()
    pictures: tuple[tuple[str, str, Literal["dark", "light"]], ...] = (
        ("overview", "/?range=day", "light"),
        ("device", f"/devices/{device}", "dark"),
    )
    with tempfile.TemporaryDirectory() as folder:
        async with admin_context(Path(folder)) as context:
            await context.database.run(fleet.fill)
            async with browsing(page_app(context)) as served, chromium() as browser:
                for name, path, scheme in pictures:
                    async with tab(browser, served.url, scheme=scheme) as seen:
                        await seen.go(path)
                        await seen.page.wait_for_selector("[data-load]:not([aria-busy]), main:not(:has([data-load]))")
                        await seen.page.screenshot(path=FOLDER / f"{name}.png")
                        print(f"docs/images/{name}.png")


asyncio.run(main())
