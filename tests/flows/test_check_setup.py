import asyncio
import datetime as dt
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from mtls_ambassador.flows.check_machine import check_open_files, check_port, check_state_dir
from mtls_ambassador.flows.check_setup import check_setup
from mtls_ambassador.model.finding import Finding, Level
from mtls_ambassador.pki.issue import Pair, make_ca, make_server
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.settings import Listen
from mtls_ambassador.settings.load import load
from support.pki import Files, validity
from support.ports import free_port

PASSWORD = "hunter2-sandbox"
NOWHERE = Path("/nowhere/mender-gateway.conf")


@dataclass(frozen=True, slots=True)
class Made:
    ca: Pair
    ca_file: Path
    server: Files


@pytest.fixture
def pki(tmp_path: Path) -> Made:
    """Certificates good for long, so that nothing is said about their end."""
    ca = make_ca("Test CA", validity(to_days=300))
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.certificate_pem)
    return Made(
        ca, ca_file, Files.write(tmp_path, "server", make_server(ca, ["gw.example.com"], validity(to_days=300)))
    )


@asynccontextmanager
async def serving(tls: Pair) -> AsyncIterator[SandboxServer]:
    async with SandboxServer.running(SandboxConfig(tls=tls, password=PASSWORD)) as server:
        yield server


@pytest.fixture
async def sandbox(pki: Made) -> AsyncIterator[SandboxServer]:
    async with serving(make_server(pki.ca, ["localhost"], validity(to_days=300))) as server:
        yield server


@pytest.fixture
def environ(pki: Made, sandbox: SandboxServer, tmp_path: Path) -> dict[str, str]:
    return {
        "MTLS_LISTEN": f"127.0.0.1:{free_port()}",
        "MTLS_ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
        "MTLS_MAX_CONNECTIONS": "100",
        "MTLS_UPSTREAM_MAX_CONNECTIONS": "100",
        "MTLS_STATE_DIR": str(tmp_path / "state"),
        "MTLS_SERVER_CERT": str(pki.server.certificate),
        "MTLS_SERVER_KEY": str(pki.server.key),
        "MTLS_TENANT_CA_PEM": str(pki.ca_file),
        "MTLS_MENDER_BACKEND": f"https://localhost:{sandbox.port}",
        "MTLS_MENDER_CERT": str(pki.ca_file),
        "MTLS_MENDER_USER": sandbox.state.config.user,
        "MTLS_MENDER_PASS": PASSWORD,
    }


async def check(
    environ: dict[str, str], config: Path | None = None, later: dt.timedelta = dt.timedelta()
) -> list[Finding]:
    now = dt.datetime.now(dt.UTC) + later
    findings = [finding async for finding in check_setup(environ, config, now)]
    assert PASSWORD not in str(findings)
    return findings


def bad(findings: list[Finding]) -> Finding:
    (found,) = [item for item in findings if item.level is not Level.OK]
    return found


async def test_all_is_well_and_nothing_was_made(
    environ: dict[str, str], sandbox: SandboxServer, tmp_path: Path
) -> None:
    findings = await check(environ)
    assert {item.level for item in findings} == {Level.OK}
    assert [item.seen for item in findings if item.name.startswith("Mender permission")] == [
        "may preauthorize devices",
        "may read devices",
        "may change auth sets",
    ]
    assert sandbox.state.devauth.count() == 0
    assert not (tmp_path / "state").exists()


async def test_a_token_works_as_well(environ: dict[str, str], sandbox: SandboxServer) -> None:
    async with aiohttp.ClientSession(sandbox.url, connector=aiohttp.TCPConnector(ssl=False)) as session:
        basic = {"Authorization": aiohttp.encode_basic_auth(sandbox.state.config.user, PASSWORD)}
        async with session.post("/api/management/v1/useradm/auth/login", headers=basic) as answer:
            headers = {"Authorization": f"Bearer {await answer.text()}"}
        url = "/api/management/v1/useradm/settings/tokens"
        async with session.post(url, json={"name": "gateway", "expires_in": 3600}, headers=headers) as answer:
            token = await answer.text()
    del environ["MTLS_MENDER_USER"], environ["MTLS_MENDER_PASS"]
    findings = await check({**environ, "MTLS_MENDER_TOKEN": token})
    assert {item.level for item in findings} == {Level.OK}
    assert token not in str(findings)
    found = bad(await check({**environ, "MTLS_MENDER_TOKEN": "not-a-token"}))
    assert (found.level, found.name) == (Level.FAIL, "Mender login")


async def test_faults_of_the_settings_do_not_hide_the_rest(environ: dict[str, str], tmp_path: Path) -> None:
    findings = await check({**environ, "MTLS_SERVER_KEY": str(tmp_path / "no.key"), "MTLS_BLACKLIST_PATH": "/x"})
    assert [item.name for item in findings if item.level is Level.FAIL] == ["settings", "settings"]
    assert findings[-1].seen == "may change auth sets"
    findings = await check({**environ, "MTLS_LISTEN": "8080"})
    assert [item.level for item in findings if item.name == "settings"] == [Level.FAIL]
    assert "server key" in [item.name for item in findings]
    assert "not checked" in findings[-1].seen


@pytest.mark.parametrize(
    ("changes", "name", "seen", "right"),
    [
        ({"MTLS_MENDER_CERT": ""}, "Mender server TLS", "issuer certificate", "MTLS_MENDER_CERT"),
        ({"MTLS_MENDER_BACKEND": "https://127.0.0.1:{port}"}, "Mender server TLS", "mismatch", "MTLS_MENDER_BACKEND"),
        ({"MTLS_MENDER_BACKEND": "https://localhost:{free}"}, "Mender server address", "refused|failed", "firewall"),
        ({"MTLS_MENDER_BACKEND": "https://no.invalid"}, "Mender server name", "no.invalid", ""),
        ({"MTLS_MENDER_PASS": "wrong"}, "Mender login", "HTTP 401", "MTLS_MENDER_PASS"),
    ],
)
async def test_what_is_wrong_upstream_is_said_precisely(
    environ: dict[str, str], sandbox: SandboxServer, changes: dict[str, str], name: str, seen: str, right: str
) -> None:
    values = {"port": sandbox.port, "free": free_port(), "key": environ["MTLS_SERVER_KEY"]}
    found = bad(await check(environ | {key: text.format(**values) for key, text in changes.items()}))
    assert (found.level, found.name) == (Level.FAIL, name)
    assert any(part in found.seen for part in seen.split("|")), found.seen
    assert right in found.right


@pytest.mark.parametrize(
    ("days", "seen", "right"), [((-20, -1), "expired", "renew"), ((1, 20), "not yet valid", "clock")]
)
async def test_dates_of_the_mender_servers_certificate(
    environ: dict[str, str], pki: Made, days: tuple[int, int], seen: str, right: str
) -> None:
    async with serving(make_server(pki.ca, ["localhost"], validity(*days))) as server:
        found = bad(await check({**environ, "MTLS_MENDER_BACKEND": f"https://localhost:{server.port}"}))
    assert (found.level, found.name) == (Level.FAIL, "Mender server TLS")
    assert seen in found.seen
    assert right in found.right


@pytest.mark.parametrize(
    ("path", "level", "seen"),
    [
        ("/api/management/v2/devauth/devices", Level.FAIL, "may not preauthorize devices"),
        ("/api/management/v2/devauth/devices/", Level.WARN, "may not read devices"),
    ],
)
async def test_permissions(environ: dict[str, str], sandbox: SandboxServer, path: str, level: Level, seen: str) -> None:
    sandbox.faults.error(403, path)
    findings = await check(environ)
    assert level in {item.level for item in findings if seen in item.seen}
    assert any("may not change auth sets" in item.seen and item.level is Level.WARN for item in findings)


async def test_a_server_that_is_not_mender_or_not_well(environ: dict[str, str], sandbox: SandboxServer) -> None:
    fault = sandbox.faults.error(404, "/api/management/v1/useradm/users/me")
    assert "HTTP 404 where Mender answers 401" in bad(await check(environ)).seen
    fault.status = 500
    fault.path = ""
    assert any(item.level is Level.FAIL and "HTTP 500" in item.seen for item in await check(environ))
    fault.drop = True
    assert bad(await check(environ)).name == "Mender server"


async def test_a_clock_that_is_off(environ: dict[str, str]) -> None:
    found = bad(await check(environ, later=dt.timedelta(minutes=6)))
    assert (found.level, found.name) == (Level.WARN, "clock")


async def test_skipping_verification_is_warned_about(environ: dict[str, str]) -> None:
    findings = await check({**environ, "MTLS_INSECURE_SKIP_VERIFY": "true", "MTLS_MENDER_CERT": ""})
    assert [item.name for item in findings if item.level is Level.WARN] == ["settings", "Mender server TLS"]


async def test_a_port_in_use_is_a_warning(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        found = bad(await check({**environ, "MTLS_LISTEN": listen}))
    assert (found.level, found.name) == (Level.WARN, "device listener")
    assert check_port("x", Listen("192.0.2.1", 1)).level is Level.FAIL


async def test_an_upstream_ca_that_is_no_certificate(environ: dict[str, str]) -> None:
    findings = await check({**environ, "MTLS_MENDER_CERT": environ["MTLS_SERVER_KEY"]})
    failed = [item for item in findings if item.level is Level.FAIL]
    assert [item.name for item in failed] == ["Envoy configuration", "Mender server TLS"]
    assert "MTLS_MENDER_CERT" in failed[1].seen


async def test_a_key_that_envoy_refuses_is_found(environ: dict[str, str], tmp_path: Path) -> None:
    command = (
        "openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.crt -days 90 -subj /CN=gw "
        "-addext subjectAltName=DNS:gw"
    )
    await asyncio.to_thread(subprocess.run, command.split(), cwd=tmp_path, check=True, capture_output=True)
    weak = {"MTLS_SERVER_CERT": str(tmp_path / "weak.crt"), "MTLS_SERVER_KEY": str(tmp_path / "weak.key")}
    findings = await check({**environ, **weak})
    failed = {item.name: item.seen for item in findings if item.level is Level.FAIL}
    assert list(failed) == ["server key", "Envoy configuration"]
    assert "RSA with 1024 bits, which Envoy refuses" in failed["Envoy configuration"]


async def test_another_envoy(environ: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "envoy"
    other.write_text("#!/bin/sh\necho 'envoy  version: abc/1.30.2/Clean/RELEASE/BoringSSL'\n")
    assert bad(await check({**environ, "MTLS_ENVOY_PATH": str(other)})).level is Level.FAIL
    other.chmod(0o700)
    found = bad(await check({**environ, "MTLS_ENVOY_PATH": str(other)}))
    assert (found.level, found.seen) == (Level.WARN, f"1.30.2 at {other}")
    assert "is not Envoy" in bad(await check({**environ, "MTLS_ENVOY_PATH": "/bin/ls"})).seen


def test_state_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert check_state_dir(tmp_path).level is Level.OK
    assert check_state_dir(tmp_path / "a" / "b").level is Level.OK
    assert check_state_dir(tmp_path / "file").level is Level.FAIL
    assert check_state_dir(tmp_path / "file" / "state").level is Level.FAIL


async def test_open_files(environ: dict[str, str]) -> None:
    settings = load({**environ, "MTLS_MAX_CONNECTIONS": "50000"}, default_file=NOWHERE).settings
    found = check_open_files(settings, 1024)
    assert found.level is Level.WARN
    assert "MTLS_MAX_CONNECTIONS" in found.right
    assert check_open_files(settings, 1_000_000).level is Level.OK


async def test_a_database_that_is_not_there(environ: dict[str, str]) -> None:
    found = bad(await check({**environ, "MTLS_DATABASE_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/x"}))
    assert (found.level, found.name) == (Level.FAIL, "database")
    assert "127.0.0.1/x" in found.seen


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mtls_ambassador", "check", *arguments]
    return subprocess.run(
        command, env={**environ, "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False, timeout=60
    )


async def test_the_command(environ: dict[str, str]) -> None:
    done = await asyncio.to_thread(run, environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith("ok    ") for line in done.stdout.splitlines())
    done = await asyncio.to_thread(run, {**environ, "MTLS_MENDER_PASS": "wrong"}, "--json")
    assert done.returncode == 1
    shown = json.loads(done.stdout)
    assert not shown["ok"]
    assert [item["name"] for item in shown["checks"] if item["level"] == "fail"] == ["Mender login"]
    done = await asyncio.to_thread(run, environ, "--config", "/nowhere/x.conf")
    assert done.returncode == 1
    assert "FAIL  settings: configuration file /nowhere/x.conf does not exist" in done.stdout
    done = await asyncio.to_thread(run, environ, "--nonsense")
    assert done.returncode == 2
