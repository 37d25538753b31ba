"""The page's frame: files that browsers may keep, errors told as pages, streams that end with the service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mtls_ambassador.web.admin import make_app
from mtls_ambassador.web.page.assets import FOR_EVER, urls
from support.admin import admin_context
from support.page import Browser, browsing


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with admin_context(tmp_path) as context, browsing(make_app(context)) as found:
        yield found


@pytest.mark.parametrize("name", ["page.css", "page.js", "icon.svg"])
async def test_files_are_kept_under_a_name_that_tells_their_content(browser: Browser, name: str) -> None:
    answer = await browser.get(urls()[name])
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == FOR_EVER


@pytest.mark.parametrize("name", ["page.css", "page.0000000000000000.css", "..%2fassets.py", "%00"])
async def test_no_other_file_is_served(browser: Browser, name: str) -> None:
    assert (await browser.get(f"/assets/{name}")).status == 404


async def test_what_is_not_there_is_told_as_a_page(browser: Browser) -> None:
    answer = await browser.get("/nothing-here")
    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>Not Found" in answer.text


async def test_what_programs_ask_for_is_no_page(browser: Browser) -> None:
    answer = await browser.get("/health/nothing")
    assert answer.status == 404
    assert "<html" not in answer.text
