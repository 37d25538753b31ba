"""No password, token, session or private key is in any line of the log, at debug level, whatever goes wrong."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from mtls_ambassador.pki.issue import KeyKind, make_key, public_key_pem
from mtls_ambassador.sandbox.device_wire import AUTH_PATH, INVENTORY_PATH, ClientStyle, auth_body, sign
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.web.access.gate import CSRF_HEADER
from mtls_ambassador.web.access.users import hash_password
from support.client import Answer, ask, request
from support.gateway import Gateway
from support.pki import Files, Pki

MENDER, WRONG, PAGE, TENANT = "mender-P4ss", "wrong-P4ss", "page-P4ss", "tenant-T0ken"
KEY = make_key()


@asynccontextmanager
async def gateway(pki: Pki, sandbox: SandboxServer, password: str, form: str) -> AsyncIterator[Gateway]:
    users = pki.folder / "users"
    users.write_text(f"marta:write:{hash_password(PAGE)}\n")
    environ = {
        "MTLS_DEBUG_LOG": "true",
        "MTLS_LOG_FORMAT": form,
        "MTLS_MENDER_PASS": password,
        "MTLS_ADMIN_USERS": str(users),
    }
    async with Gateway.running(pki, sandbox.url, environ=environ, wait=False) as running:
        async with asyncio.timeout(30):
            while not any("ready" in line for line in running.lines):  # noqa: ASYNC110 - a line is no event
                await asyncio.sleep(0.05)
        yield running


async def enrol(pki: Pki, gateway: Gateway, device: Files, mac: str, *, signature: str = "") -> Answer:
    body = auth_body({"mac": mac}, public_key_pem(KEY), tenant_token=TENANT, style=ClientStyle.GO)
    headers = f"X-MEN-Signature: {signature or sign(body, KEY)}", f"Authorization: Bearer {TENANT}"
    call = request(AUTH_PATH, "Content-Type: application/json", *headers, method="POST", body=body)
    return await ask(gateway.port, pki.client_context(device), call)


async def manage(gateway: Gateway) -> list[str]:
    """Log in wrongly and rightly, make an API token and use it; the session and the token."""
    url = f"http://127.0.0.1:{gateway.admin_port}"
    async with aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        for password, status in ((WRONG, 401), (PAGE, 200)):
            async with session.post("/login", data={"name": "marta", "password": password}) as answer:
                assert answer.status == status
        (cookie,) = session.cookie_jar
        async with session.get("/") as answer:
            found = re.search(r'name="csrf" value="([^"]+)"', await answer.text())
        assert found
        body = {"name": "script", "scope": "write", "days": 1}
        async with session.post("/api/v1/tokens", json=body, headers={CSRF_HEADER: found[1]}) as answer:
            assert answer.status < 300, await answer.text()
            token = str((await answer.json())["token"])
    async with aiohttp.ClientSession(url) as session:
        for given, status in ((token, 200), (token[:-1], 401)):
            async with session.get("/api/v1/devices", headers={"Authorization": f"Bearer {given}"}) as answer:
                assert answer.status == status
    return [cookie.value, found[1], token]


def lines_of(key: Path) -> list[str]:
    return [line for line in key.read_text().splitlines() if "---" not in line]


def used(sandbox: SandboxServer) -> set[str]:
    """What stood in the Authorization headers that reached Mender."""
    given = (entry.header("Authorization") or "" for entry in sandbox.journal.find("/api/"))
    return {each.partition(" ")[2] for each in given} - {""}


async def check(folder: Path, form: str) -> None:
    pki = Pki(folder)
    device = pki.device(kind=KeyKind.RSA)
    secrets = [MENDER, WRONG, PAGE, TENANT, *lines_of(device.key), *lines_of(pki.server.key)]
    secrets += [base64.b64encode(f"mtls@example.com:{each}".encode()).decode() for each in (MENDER, WRONG)]
    async with SandboxServer.running(SandboxConfig(password=MENDER)) as sandbox:
        async with gateway(pki, sandbox, MENDER, form) as good:
            token = (await enrol(pki, good, device, "one")).body.decode()
            assert token.count(".") == 2
            assert (await enrol(pki, good, device, "two")).status == 401, "the key speaks for another identity"
            assert (await enrol(pki, good, device, "one", signature="AAAA")).status == 401
            call = request(INVENTORY_PATH, f"Authorization: Bearer {token}", method="PUT", body=b"[]")
            await ask(good.port, pki.client_context(device), call)
            secrets += [token, *await manage(good)]
        async with gateway(pki, sandbox, WRONG, form) as bad:
            assert (await enrol(pki, bad, pki.device(), "three")).status == 503, "its login is refused"
        secrets += used(sandbox)
    told = "\n".join([*good.lines, *bad.lines])
    assert "login-refused" in told
    assert "debug" in told
    assert [secret for secret in secrets if secret in told] == []


async def test_in_json(tmp_path: Path) -> None:
    await check(tmp_path, "json")


async def test_on_the_console(tmp_path: Path) -> None:
    await check(tmp_path, "console")
