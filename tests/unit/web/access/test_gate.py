"""Who gets through the gate of the admin listener, over real sockets: it fails closed."""

import asyncio
import datetime as dt
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mtls_ambassador.model.operator import Scope
from mtls_ambassador.settings import Listen
from mtls_ambassador.store import tokens
from mtls_ambassador.store.audit import read_all
from mtls_ambassador.web import streams
from mtls_ambassador.web.access.gate import GATE
from mtls_ambassador.web.access.users import hash_password
from mtls_ambassador.web.admin import make_app
from mtls_ambassador.web.context import Context
from support.admin import admin_context
from support.page import Browser, browsing

PASSWORD = "correct horse"
HASH = hash_password(PASSWORD)
EVERYWHERE = Listen("", 9102)
FREE = ("/health", "/health/live", "/health/ready", "/metrics", "/api/internal/v1/gateway/alive")
FIXED = "of everybody without a session"
HTML = {"Accept": "text/html"}


class Clock:
    def __init__(self) -> None:
        self.ahead = dt.timedelta()

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead


@asynccontextmanager
async def listener(folder: Path, **changes: object) -> AsyncIterator[tuple[Browser, Context, Clock]]:
    clock = Clock()
    async with admin_context(folder, now=clock, **changes) as context:  # type: ignore[arg-type]  # settings of a test
        app = make_app(context)
        app[GATE].csrf = FIXED
        async with browsing(app) as browser:
            yield browser, context, clock


def users(folder: Path, *lines: str) -> Path:
    path = folder / "users"
    path.write_text("\n".join(lines) or f"marta:write:{HASH}\nolaf:read:{HASH}\nproxied@example.com:write:\n")
    return path


async def log_in(browser: Browser, name: str = "marta", password: str = PASSWORD, wanted: str = "/devices") -> int:
    return (await browser.post("/login", name=name, password=password, next=wanted)).status


async def answer(browser: Browser, method: str, path: str, **options: Any) -> tuple[int, str]:  # noqa: ANN401 - aiohttp's own
    async with browser.session.request(method, browser.url + path, allow_redirects=False, **options) as got:
        return got.status, await got.text()


async def token_of(browser: Browser) -> str:
    page = await browser.get("/devices")
    found = set(re.findall(r'name="csrf" value="([^"]*)"', page.text))
    assert len(found) == 1
    return str(found.pop())


async def test_on_loopback_nobody_is_asked(tmp_path: Path) -> None:
    async with listener(tmp_path) as (browser, _, _):
        for path in ("/", "/devices", "/api/v1/overview"):
            assert (await browser.get(path)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9102", "127.0.0.1.evil.example", "192.0.2.1", ""])
async def test_another_name_for_loopback_is_refused(tmp_path: Path, host: str) -> None:
    async with listener(tmp_path) as (browser, _, _):
        for path in ("/", "/api/v1/devices"):
            assert (await answer(browser, "GET", path, headers={"Host": host}))[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:9102", "127.0.0.1:1", "[::1]:9102"])
async def test_names_of_this_machine_are_known(tmp_path: Path, host: str) -> None:
    async with listener(tmp_path) as (browser, _, _):
        assert (await answer(browser, "GET", "/", headers={"Host": host}))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 422),
        ({"Sec-Fetch-Site": "same-origin"}, 422),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy.example"}, 422),
    ],
)
async def test_json_from_a_program_is_taken_and_another_sites_is_not(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with listener(tmp_path) as (browser, _, _):
        got = await answer(browser, "POST", "/api/v1/denials", json={"reason": "unspecified"}, headers=headers)
        assert got[0] == status, got


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_form_of_another_site_is_refused_in_an_old_browser_too(tmp_path: Path, kind: str) -> None:
    async with listener(tmp_path) as (browser, _, _):
        body = b'{"keys":["' + b"0" * 64 + b'"]}'
        got = await answer(browser, "POST", "/api/v1/denials", data=body, headers={"Content-Type": kind})
        assert got[0] in {400, 403}, got
        assert (await browser.get("/api/v1/denials")).text.count('"key"') == 0


@pytest.mark.parametrize("path", ["/", "/devices", "/api/v1/overview", "/login", "/logout"])
async def test_from_other_machines_nothing_is_there_without_tls(tmp_path: Path, path: str) -> None:
    async with listener(tmp_path, admin_listen=EVERYWHERE, admin_users=users(tmp_path)) as (browser, _, _):
        got = await browser.get(path)
        assert got.status == 403
        assert "MTLS_ADMIN_TLS_CERT" in got.text
        for free in FREE:
            assert (await browser.get(free)).status == 200


async def test_with_tls_and_without_users_only_tokens_get_in(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_listen=EVERYWHERE, admin_certificate=tmp_path) as (browser, context, _):
        assert "MTLS_ADMIN_USERS" in (await browser.get("/")).text
        assert (await browser.get("/api/v1/overview")).status == 401
        made = await context.database.run(lambda c: tokens.create(c, "prom", Scope.READ, "me", context.now(), None))
        assert (await answer(browser, "GET", "/api/v1/overview", headers=bearer(made)))[0] == 200
        assert (await answer(browser, "GET", "/", headers=bearer(made)))[0] == 403


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_tokens_reach_as_far_as_their_scope_and_time(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, context, clock):
        end = context.now() + dt.timedelta(days=1)
        made = {}
        for scope in Scope:
            made[scope] = await context.database.run(
                partial(tokens.create, name=scope.value, scope=scope, by="me", now=context.now(), expires_at=end)
            )
        body = {"keys": ["0" * 64], "dry_run": True}
        read, write = bearer(made[Scope.READ]), bearer(made[Scope.WRITE])
        assert (await answer(browser, "POST", "/api/v1/denials", json=body, headers=read))[0] == 403
        assert (await answer(browser, "POST", "/api/v1/denials", json=body, headers=write))[0] == 200
        (_, one) = await context.database.read(tokens.every)
        assert one.last_used_at is not None
        for bad in ("", "mta_", made[Scope.READ][:-1], made[Scope.READ] + "A", "é"):
            assert (await answer(browser, "GET", "/api/v1/overview", headers=bearer(bad)))[0] == 401
        await context.database.run(lambda c: tokens.revoke(c, "read", "me", context.now()))
        assert (await answer(browser, "GET", "/api/v1/overview", headers=read))[0] == 401
        clock.ahead = dt.timedelta(days=2)
        assert (await answer(browser, "GET", "/api/v1/overview", headers=write))[0] == 401


async def test_a_bad_token_is_not_healed_by_a_session(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, _):
        assert await log_in(browser) == 303
        assert (await answer(browser, "GET", "/api/v1/overview", headers=bearer("mta_x")))[0] == 401


async def test_login_and_logout(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, context, _):
        sent = await answer(browser, "GET", "/devices?q=x", headers=HTML)
        assert sent[0] == 303
        assert (await browser.get("/devices")).status == 401
        got = await browser.post("/login", name="marta", password=PASSWORD, next="/devices?q=x")
        assert (got.status, got.headers["Location"]) == (303, "/devices?q=x")
        cookie = got.headers["Set-Cookie"]
        assert re.search("HttpOnly; .*SameSite=Strict", cookie)
        assert PASSWORD not in cookie
        token = await token_of(browser)
        assert (await browser.post("/logout")).status == 403
        assert (await browser.post("/logout", csrf=token)).status == 303
        assert (await browser.get("/devices")).status == 401
        audited = [(item.event, item.reason, item.detail) for item in await context.database.run(read_all)]
        assert audited == [
            ("login", "logged-in", "marta (password)"),
            ("login", "logged-out", "marta (password)"),
        ]


async def test_a_wrong_name_and_a_wrong_password_look_alike(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, context, _):
        tries = [("marta", "wrong"), ("nobody", PASSWORD), ("proxied@example.com", ""), ("marta", "x" * 5000), ("", "")]
        texts = set()
        for name, password in tries:
            got = await browser.post("/login", name=name, password=password)
            assert got.status == 401
            texts.update(re.findall('role="alert">(.*?)<', got.text))
            assert "Set-Cookie" not in got.headers
        assert len(texts) == 1
        assert {item.reason for item in await context.database.run(read_all)} == {"login-refused"}


async def test_guessing_ends_soon(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, clock):
        assert [await log_in(browser, password=f"guess {number}") for number in range(11)] == [401] * 10 + [429]
        assert await log_in(browser) == 429
        clock.ahead = dt.timedelta(minutes=16)
        assert await log_in(browser) == 303


async def test_an_id_from_before_the_login_is_worth_nothing(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, _):
        cookies = {"session": "chosen-by-a-stranger"}
        data = {"name": "marta", "password": PASSWORD}
        await answer(browser, "POST", "/login", data=data, cookies=cookies)
        async with aiohttp.ClientSession(cookies=cookies) as other, other.get(f"{browser.url}/devices") as got:
            assert got.status == 401


@pytest.mark.parametrize("ahead", [dt.timedelta(minutes=31), dt.timedelta(hours=13), dt.timedelta(hours=-1)])
async def test_a_session_ends_by_itself(tmp_path: Path, ahead: dt.timedelta) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, clock):
        await log_in(browser)
        assert (await browser.get("/devices")).status == 200
        clock.ahead = ahead
        assert (await browser.get("/devices")).status == 401


@pytest.mark.parametrize("lines", [("olaf:read:",), (f"marta:read:{HASH}", ""), ("marta:write:" + hash_password("x"),)])
async def test_a_session_ends_when_the_users_line_changes(tmp_path: Path, lines: tuple[str, ...]) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, _):
        await log_in(browser)
        users(tmp_path, *lines)
        assert (await browser.get("/devices")).status == 401


async def test_a_bad_users_file_leaves_the_last_good_one(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, context, _):
        await log_in(browser)
        users(tmp_path, "marta:root:", "x")
        assert (await browser.get("/devices")).status == 200
        (state,) = [item for item in make_app(context)[GATE].inputs() if item.fault]
        assert "line 1: the scope must be read or write" in state.fault
        health = await browser.get("/health")
        assert "line 2: must be name:scope:hash" in health.text


async def test_who_only_reads_changes_nothing(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, _):
        await log_in(browser, "olaf")
        token = await token_of(browser)
        headers = {"X-CSRF-Token": token}
        got = await answer(browser, "POST", "/api/v1/denials", json={"keys": ["0" * 64]}, headers=headers)
        assert got[0] == 403
        assert '"request_id"' in got[1]


async def test_with_a_session_json_needs_the_token_too(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, _):
        await log_in(browser)
        body = {"keys": ["0" * 64], "dry_run": True}
        assert (await answer(browser, "POST", "/api/v1/denials", json=body))[0] == 403
        headers = {"X-CSRF-Token": await token_of(browser)}
        assert (await answer(browser, "POST", "/api/v1/denials", json=body, headers=headers))[0] == 200


@pytest.mark.parametrize(
    ("network", "names", "status"),
    [
        ("127.0.0.1/32", ["proxied@example.com"], 200),
        ("127.0.0.1/32", [], 401),
        ("127.0.0.1/32", [""], 401),
        ("127.0.0.1/32", ["olaf", "marta"], 401),
        ("192.0.2.0/24", ["proxied@example.com"], 401),
    ],
)
async def test_a_proxys_word_counts_from_its_address_alone(
    tmp_path: Path, network: str, names: list[str], status: int
) -> None:
    given = {"admin_user_header": "X-Forwarded-Email", "admin_proxies": (ip_network(network),)}
    async with listener(tmp_path, admin_users=users(tmp_path), **given) as (browser, _, _):
        headers = [("X-Forwarded-Email", name) for name in names]
        assert (await answer(browser, "GET", "/api/v1/overview", headers=headers))[0] == status


@pytest.mark.parametrize(("name", "status"), [("proxied@example.com", 200), ("stranger@example.com", 403)])
async def test_whom_the_users_file_lacks_a_proxy_lets_read_only(tmp_path: Path, name: str, status: int) -> None:
    given = {"admin_user_header": "X-Forwarded-Email", "admin_proxies": (ip_network("127.0.0.0/8"),)}
    async with listener(tmp_path, admin_users=users(tmp_path), **given) as (browser, _, _):
        browser.session.headers["X-Forwarded-Email"] = name
        page = await browser.get("/devices")
        assert page.status == 200
        headers = {"X-CSRF-Token": FIXED}
        body = {"keys": ["0" * 64], "dry_run": True}
        assert (await answer(browser, "POST", "/api/v1/denials", json=body, headers=headers))[0] == status


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "/login", "x", "/\n/x"]
)
async def test_after_a_login_no_other_site_is_gone_to(tmp_path: Path, wanted: str) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, _):
        got = await browser.post("/login", name="marta", password=PASSWORD, next=wanted)
        assert got.headers["Location"] == "/"


@pytest.mark.parametrize("path", ["/", "/nothing", "/metrics", "/api/v1/overview", "/api/v1/nothing", "/login"])
async def test_every_answer_tells_the_browser_what_it_may(tmp_path: Path, path: str) -> None:
    async with listener(tmp_path) as (browser, _, _):
        headers = (await browser.get(path)).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("charset", ["nonsense", "hex"])
async def test_a_form_in_no_known_charset_is_refused(tmp_path: Path, charset: str) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, _):
        headers = {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"}
        assert (await answer(browser, "POST", "/login", data=b"name=x", headers=headers))[0] == 400


async def test_a_large_body_is_refused(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, _, _):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await answer(browser, "POST", "/login", data=io.BytesIO(b"n" * 2_000_000), headers=form))[0] == 413


async def test_while_the_store_fails_a_token_is_not_believed(tmp_path: Path) -> None:
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, context, _):
        with context.database.transaction() as connection:
            connection.exec_driver_sql("ALTER TABLE api_token RENAME TO gone")
        assert (await answer(browser, "GET", "/api/v1/overview", headers=bearer("mta_x")))[0] == 503


async def test_tokens_are_made_and_revoked_by_the_api(tmp_path: Path) -> None:
    async with listener(tmp_path) as (browser, context, _):
        made = await answer(browser, "POST", "/api/v1/tokens", json={"name": "grafana", "days": 1})
        assert made[0] == 200
        token = json.loads(made[1])["token"]
        assert (await answer(browser, "POST", "/api/v1/tokens", json={"name": "grafana"}))[0] == 409
        assert (await answer(browser, "GET", "/api/v1/overview", headers=bearer(token)))[0] == 200
        listed = await browser.get("/api/v1/tokens")
        assert json.loads(listed.text)["items"][0]["good"]
        assert token not in listed.text
        for changed in (True, False):
            done = await answer(browser, "POST", "/api/v1/tokens/revoke", json={"name": "grafana"})
            assert json.loads(done[1]) == {"changed": changed}
        assert (await answer(browser, "GET", "/api/v1/overview", headers=bearer(token)))[0] == 401
        assert [row.event for row in await context.database.run(read_all)] == ["token-create", "token-revoke"]


async def test_a_stream_ends_soon_after_its_token_is_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CHECK_EVERY", 0)
    async with listener(tmp_path) as (browser, context, _):
        later = context.now() + dt.timedelta(days=1)
        made = await context.database.run(lambda c: tokens.create(c, "live", Scope.READ, "me", context.now(), later))
        async with browser.session.get(f"{browser.url}/api/v1/live", headers=bearer(made)) as stream:
            context.live.publish("refusal")
            assert await stream.content.readline() == b"event: refusal\n"
            await context.database.run(lambda c: tokens.revoke(c, "live", "me", context.now()))
            context.live.publish("denial")
            async with asyncio.timeout(10):
                rest = await stream.content.read()
    assert b"denial" not in rest


async def test_a_stream_ends_soon_after_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To listen keeps no session alive."""
    monkeypatch.setattr(streams, "CHECK_EVERY", 0)
    async with listener(tmp_path, admin_users=users(tmp_path)) as (browser, context, clock):
        await log_in(browser)
        async with browser.session.get(f"{browser.url}/live") as stream:
            clock.ahead = dt.timedelta(minutes=20)
            context.live.publish("refusal")
            assert await stream.content.readline() == b"event: happened\n"
            clock.ahead = dt.timedelta(minutes=31)
            context.live.publish("denial")
            async with asyncio.timeout(10):
                rest = await stream.content.read()
    assert b"denial" not in rest
