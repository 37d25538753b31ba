"""The page's frame: files that browsers may keep, errors told as pages, streams that end with the service."""

import datetime as dt
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from mtls_ambassador.web.admin import make_app
from mtls_ambassador.web.page.assets import FOR_EVER, urls
from support.admin import admin_context
from support.fleet import Fleet
from support.page import Browser, browsing, page_app


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


async def test_a_stream_ends_with_the_service(tmp_path: Path) -> None:
    async with admin_context(tmp_path) as context:
        async with browsing(page_app(context)) as browser:
            stream = await browser.session.get(f"{browser.url}/live", timeout=aiohttp.ClientTimeout(total=None))
            assert stream.status == 200
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            context.live.publish("refusal", detail="<b>")
            assert await stream.content.readline() == b"event: happened\n"
            assert await stream.content.readline() == b'data: {"refusal": 1}\n'
            # Left open on purpose: the service ends while somebody looks.
        stream.close()
        assert not context.live._queues  # noqa: SLF001 - nobody is left who listens


PAGES = ("/", "/?range=month", "/devices", "/refusals", "/events", "/certificates", "/batches", "/denials", "/settings")


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Browser]:
    """Over a store with devices of every kind, hostile ones among them."""
    async with admin_context(tmp_path) as context:
        await context.database.run(Fleet(dt.datetime.now(dt.UTC), hostile=True).fill)
        async with browsing(page_app(context)) as found:
            yield found


@pytest.mark.parametrize("path", PAGES)
async def test_hostile_texts_stay_texts(full: Browser, path: str) -> None:
    shown = await full.get(path)
    assert shown.status == 200
    assert not re.search(r"<script>|<img src=x|\u202e|\u2066|\x1b|\0", shown.text)
    assert "x" * 1000 not in shown.text
    assert not re.search(r"""\sstyle=|\son[a-z]+=["']|(?:src|href|action)="(?!/|\?|#)""", shown.text)


@pytest.mark.parametrize("path", PAGES)
async def test_an_empty_store_has_its_words(tmp_path: Path, path: str) -> None:
    async with admin_context(tmp_path) as context, browsing(page_app(context)) as browser:
        assert (await browser.get(path)).status == 200


async def test_devices_are_found_paged_and_shown(full: Browser) -> None:
    first = await full.get("/devices")
    more = re.search(r'href="(/devices\?after=[^"]+)" rel="next"', first.text)
    assert more
    rows = [set(re.findall(r'data-row="([0-9a-f]{64})"', page.text)) for page in (first, await full.get(more[1]))]
    assert len(rows[0]) == 50
    assert len(rows[0] | rows[1]) == 65
    found = await full.get("/devices?q=cam-0012")
    (row,) = re.findall(r'data-row="([0-9a-f]{64})"', found.text)
    device = await full.get(f"/devices/{row}")
    assert "Another certificate asks for this identity" in device.text
    assert "CN=cam-0012 spare" in device.text


async def test_filters_reach_the_store(full: Browser) -> None:
    assert "device sent no certificate" in (await full.get("/refusals?cause=no-certificate")).text
    assert "data-row" not in (await full.get("/refusals?address=192.0.2.1")).text
    assert (await full.get("/certificates?name=cam-0004&status=revoked")).text.count("data-row") == 1
    assert (await full.get("/certificates?ends=30")).text.count("data-row") == 5
    assert "keyCompromise" in (await full.get("/denials")).text
    assert "data-row" in (await full.get("/events?event=deny")).text


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/devices?standing=x", "standing: must be one of"),
        ("/devices?after=x", "after:"),
        ("/devices?q=" + "x" * 400, "q: at most 300"),
        ("/refusals?serial=zz", "serial: must be hexadecimal"),
        ("/certificates?batch=-1", "batch: must be its number"),
    ],
)
async def test_a_bad_question_is_answered_with_what_is_right(full: Browser, path: str, says: str) -> None:
    shown = await full.get(path)
    assert shown.status == 400
    assert says in shown.text


async def test_a_device_without_a_record_is_not_found(full: Browser) -> None:
    assert (await full.get(f"/devices/{'0' * 64}")).status == 404
