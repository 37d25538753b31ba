"""The operator's journeys in a real browser, with the real gateway before the sandbox Mender."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from mtls_ambassador.pki.issue import Pair
from mtls_ambassador.sandbox.device import SimulatedDevice
from mtls_ambassador.sandbox.device_errors import DeviceError
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.web.access.users import hash_password
from support.chromium import Tab, chromium, tab
from support.gateway import Gateway
from support.ledger import until
from support.mender import World
from support.pki import Pki

MAC = "52:54:00:12:34:56"
PASSWORD = "correct horse battery"


@asynccontextmanager
async def looking(gateway: Gateway, expected: tuple[str, ...] = (), scheme: str = "http") -> AsyncIterator[Tab]:
    home = f"{scheme}://127.0.0.1:{gateway.admin_port}"
    async with chromium() as browser, tab(browser, home, expected=expected) as seen:
        yield seen


async def authorize(world: World, pair: Pair) -> str:
    """Ask to come in once: `in`, or the words of the refusal."""
    async with SimulatedDevice(world.device(pair, MAC)) as device:
        try:
            await device.authorize()
        except DeviceError as error:
            return str(error)
    return "in"


async def test_a_refused_device_is_found_understood_and_let_in(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world, looking(world.gateway) as seen:
        page = seen.page
        assert await authorize(world, world.pair("old-board")) == "in"
        await asyncio.sleep(1)
        spare = world.pair("new-board")
        assert "identity-taken" in await authorize(world, spare)
        await until(world.gateway, "refusal", lambda row: row["cause"] == "identity-taken")
        await seen.go("/refusals")
        await page.get_by_role("link", name=MAC).first.click()
        await expect(page.get_by_role("heading", name="Another certificate asks for this identity")).to_be_visible()
        await expect(page.locator(".steps")).to_contain_text("identity binding")
        await page.get_by_role("link", name="Move the identity to this certificate…").click()
        await expect(page.get_by_text("belongs to CN=new-board")).to_be_visible()
        await page.get_by_role("button", name="Approve the move").click()
        await expect(page.get_by_role("status").filter(has_text="now belongs")).to_be_visible()
        assert await authorize(world, spare) == "in"
        await seen.go("/why?q=12:34:56")
        await expect(page.get_by_text("It is in.")).to_be_visible()


async def test_a_device_is_kept_out_and_let_in_again(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world, looking(world.gateway) as seen:
        page, pair = seen.page, world.pair()
        assert await authorize(world, pair) == "in"
        await seen.go("/devices?q=12:34:56")
        await page.locator("[data-row] a").first.click()
        await page.get_by_role("link", name="Keep it out…").click()
        await page.get_by_label("Why, for the records").fill("lost on the way")
        await page.get_by_role("button", name="Keep it out").click()
        await expect(page.get_by_role("status").filter(has_text="Denied")).to_be_visible()
        assert await authorize(world, pair) != "in"
        await page.get_by_role("link", name="Let it in again…").click()
        await page.get_by_role("button", name="Let it in again").click()
        await expect(page.get_by_role("status").filter(has_text="Restored")).to_be_visible()
        async with asyncio.timeout(20):
            while await authorize(world, pair) != "in":  # noqa: ASYNC110 - a gateway sends no event
                await asyncio.sleep(0.2)
        await seen.go("/events")
        await expect(page.get_by_text("loopback (loopback)").first).to_be_visible()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"marta:write:{hash_password(PASSWORD)}\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(("scheme", "cookie"), [("http", "session"), ("https", "__Host-session")])
async def test_login_by_keyboard_wrong_password_and_logout(
    tmp_path: Path, users: Path, scheme: str, cookie: str
) -> None:
    pki = Pki(tmp_path)
    environ = {"MTLS_ADMIN_USERS": str(users)}
    if scheme == "https":
        environ |= {"MTLS_ADMIN_TLS_CERT": str(pki.server.certificate), "MTLS_ADMIN_TLS_KEY": str(pki.server.key)}
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as sandbox,
        Gateway.running(pki, sandbox.url, environ=environ) as gateway,
        looking(gateway, ("401",), scheme) as seen,
    ):
        page, press = seen.page, seen.page.keyboard.press
        await seen.go("/devices?q=x")
        await expect(page).to_have_url(f"{seen.home}/login?next=/devices?q%3Dx")
        for password in ("wrong horse", PASSWORD):
            await expect(page.get_by_label("Name")).to_be_focused()
            await page.keyboard.type("marta")
            await press("Tab")
            await page.keyboard.type(password)
            await press("Enter")
            if password != PASSWORD:
                await expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        await expect(page).to_have_url(f"{seen.home}/devices?q=x")
        await seen.picture(tmp_path, "devices-logged-in")
        (kept,) = await page.context.cookies()
        assert (kept["name"], kept["httpOnly"], kept["sameSite"]) == (cookie, True, "Strict")
        assert kept["secure"] == (scheme == "https")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        await seen.go("/devices")
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert PASSWORD not in "\n".join(gateway.lines)
