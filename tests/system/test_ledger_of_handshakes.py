"""Every handshake that is refused stands in the store with its cause and the certificate that was shown."""

import asyncio
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from playwright.async_api import expect
from prometheus_client.parser import text_string_to_metric_families

from mtls_ambassador.model.refusal import HandshakeCause
from mtls_ambassador.pki.issue import make_ca, make_server
from mtls_ambassador.store.database import SQLITE_FILE
from support.chromium import chromium, tab
from support.client import request
from support.gateway import Gateway
from support.ledger import refusal, rows, until
from support.pki import Files, Pki, validity
from support.revocation import crl, serial_of

PATIENCE = 20


async def shake(gateway: Gateway, context: ssl.SSLContext, address: str) -> bytes:
    """A handshake and a call from this address; empty when it is refused."""
    with suppress(ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", gateway.port, ssl=context, server_hostname="localhost", local_addr=(address, 0)
            )
            try:
                writer.write(request("/status"))
                return await reader.readuntil(b"\r\n\r\n")
            finally:
                writer.transport.abort()
    return b""


async def metrics(gateway: Gateway) -> str:
    url = f"http://127.0.0.1:{gateway.admin_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


async def page(gateway: Gateway, path: str) -> int:
    url = f"http://127.0.0.1:{gateway.admin_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()
        return answer.status


async def openssl(gateway: Gateway, address: str, *options: str) -> None:
    """OpenSSL's own client, which takes settings that Python's library has not."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-bind", f"{address}:0", *options]
    await asyncio.to_thread(subprocess.run, command, input=b"", capture_output=True, timeout=PATIENCE, check=False)


async def say(gateway: Gateway, address: str, data: bytes) -> None:
    """Bytes instead of TLS, and hang up."""
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=(address, 0))
    writer.write(data)
    with suppress(ConnectionError):
        await writer.drain()
    await asyncio.sleep(0.1 if data else 0)
    writer.close()


@asynccontextmanager
async def gateway_with_crl(pki: Pki, revoked: Files) -> AsyncIterator[Gateway]:
    path = pki.folder / "crl.pem"
    path.write_bytes(crl(pki.ca, [serial_of(revoked)]))
    async with Gateway.running(pki, "http://127.0.0.1:9", environ={"MTLS_CRL_PATH": str(path)}) as gateway:
        yield gateway


async def test_each_cause_with_what_was_shown(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    revoked = pki.device("revoked")
    server = Files.write(tmp_path, "server-as-device", make_server(pki.ca, ["device"], validity()))
    shown = {
        "127.0.0.11": ("unknown-ca", pki.stranger()),
        "127.0.0.12": ("expired", pki.device("old", dates=validity(-9, -1))),
        "127.0.0.13": ("not-yet-valid", pki.device("new", dates=validity(1, 9))),
        "127.0.0.14": ("revoked", revoked),
        "127.0.0.15": ("wrong-usage", server),
    }
    async with gateway_with_crl(pki, revoked) as gateway:
        for address, (_, files) in shown.items():
            assert await shake(gateway, pki.client_context(files), address) == b""
        await shake(gateway, pki.client_context(None), "127.0.0.21")
        other = tmp_path / "other.pem"
        other.write_bytes(make_ca("Another CA", validity()).certificate_pem)
        refusing = "-verify_return_error", "-CAfile", str(other)
        await openssl(gateway, "127.0.0.22", "-tls1_2", *refusing)
        await openssl(gateway, "127.0.0.28", "-tls1_3", *refusing)
        device = pki.device()
        pair = "-cert", str(device.certificate), "-key", str(device.key)
        await openssl(gateway, "127.0.0.23", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        await openssl(gateway, "127.0.0.24", "-sigalgs", "RSA-PSS+SHA256", *pair)
        await say(gateway, "127.0.0.25", b"GET / HTTP/1.1\r\n\r\n")
        await say(gateway, "127.0.0.26", b"\0" * 64)
        await say(gateway, "127.0.0.27", b"")
        for address, (cause, files) in shown.items():
            row = await refusal(gateway, address)
            certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
            assert (row["cause"], row["count"], row["kind"]) == (cause, 1, "handshake")
            assert row["serial"] == f"{certificate.serial_number:x}"
            assert row["subject"] == certificate.subject.rfc4514_string()
            assert row["issuer"] == certificate.issuer.rfc4514_string()
            assert len(row["spki_sha256"]) == len(row["fingerprint_sha256"]) == 64
            assert row["tls_version"].startswith("TLSv1.")
        others = {
            "127.0.0.21": "no-certificate",
            "127.0.0.22": "server-ca-unknown",
            "127.0.0.28": "server-refused",
            "127.0.0.23": "protocol-too-old",
            "127.0.0.24": "no-common-algorithm",
            "127.0.0.25": "plain-http",
            "127.0.0.26": "not-tls",
            "127.0.0.27": "hung-up",
        }
        for address, cause in others.items():
            row = await refusal(gateway, address)
            assert (row["cause"], row["serial"], row["spki_sha256"]) == (cause, "", "")
        assert rows(gateway, "contact") == []
        told = await metrics(gateway)
        for cause in {cause for cause, _ in shown.values()} | set(others.values()):
            assert f'mtls_ambassador_handshakes_refused_total{{cause="{cause}"}} 1.0' in told
        assert "mtls_ambassador_observations_lost_total 0.0" in told
        assert "mtls_ambassador_envoy_answers 1.0" in told
        assert len(list(text_string_to_metric_families(told))) > 30, "with Envoy's, and all of it can be read"
        assert "\nenvoy_http_downstream_cx_total{" in told


async def test_the_last_contact_of_a_good_device_is_kept(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    device = pki.device()
    async with Gateway.running(pki, "http://127.0.0.1:9") as gateway:
        for _ in range(3):
            assert b"200" in await shake(gateway, pki.client_context(device), "127.0.0.31")
        (row,) = await until(gateway, "contact", lambda row: row["connections"] == 3)
        assert (row["serial"], row["address"], row["tls_version"]) == (
            f"{serial_of(device):x}",
            "127.0.0.31",
            "TLSv1.3",
        )
        assert rows(gateway, "refusal") == []


def flood(gateway: Gateway) -> list[dict[str, Any]]:
    return [row for row in rows(gateway, "refusal") if row["cause"] == "plain-http"]


FLOOD, AT_ONCE = 10_000, 64


async def test_a_flood_of_bad_handshakes_harms_nobody_and_is_counted(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    good = pki.client_context(pki.device())
    async with Gateway.running(pki, "http://127.0.0.1:9") as gateway:
        work = iter(range(FLOOD))
        answers: list[bytes] = []

        async def attack() -> None:
            loop = asyncio.get_running_loop()
            for number in work:
                with socket.socket() as own:
                    own.settimeout(0)
                    own.bind((f"127.1.{number % 100}.{number % 7 + 1}", 0))
                    await loop.sock_connect(own, ("127.0.0.1", gateway.port))
                    with suppress(ConnectionError):
                        await loop.sock_sendall(own, b"GET / HTTP/1.1\r\n\r\n")
                        await loop.sock_recv(own, 100)

        async def live() -> None:
            while True:
                answers.append(await shake(gateway, good, "127.0.0.1"))

        async def look() -> None:
            while True:
                seen.append(await page(gateway, "/refusals"))

        seen: list[int] = []
        async with asyncio.TaskGroup() as tasks:
            calling, looking = tasks.create_task(live()), tasks.create_task(look())
            async with asyncio.TaskGroup() as attackers:
                for _ in range(AT_ONCE):
                    attackers.create_task(attack())
            calling.cancel()
            looking.cancel()
        assert set(seen) == {200}
        assert len(answers) > 5
        assert all(b"200" in answer for answer in answers)
        await until(gateway, "refusal", lambda _: sum(row["count"] for row in flood(gateway)) == FLOOD)
        kept = flood(gateway)
        minutes = len({row["first_at"][:16] for row in kept})
        assert len(kept) <= minutes * 601
        counted = [row["count"] for row in rows(gateway, "tally") if (row["step"], row["name"]) == (60, "plain-http")]
        assert sum(counted) == FLOOD
        assert len(gateway.lines) < FLOOD / 10
        told = await metrics(gateway)
        assert f'mtls_ambassador_handshakes_refused_total{{cause="plain-http"}} {FLOOD:.1f}' in told
        assert "mtls_ambassador_observations_lost_total 0.0" in told
        home = f"http://127.0.0.1:{gateway.admin_port}"
        async with chromium() as browser, tab(browser, home) as shown:
            await shown.go("/?range=day")
            cause = shown.page.get_by_role("row").filter(has_text=HandshakeCause.PLAIN_HTTP.text)
            await expect(cause.get_by_role("cell")).to_have_text("10\N{NARROW NO-BREAK SPACE}000")
            await shown.picture(tmp_path, "overview-after-a-flood")


async def test_what_the_service_had_not_written_when_it_was_killed_is_counted(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with Gateway.running(pki, "http://127.0.0.1:9") as gateway:
        with sqlite3.connect(gateway.folder / "state" / SQLITE_FILE, isolation_level=None) as store:
            store.execute("BEGIN IMMEDIATE")  # so that the ledger cannot be written
            for number in range(5):
                await say(gateway, f"127.0.1.{number + 1}", b"GET / HTTP/1.1\r\n\r\n")
            await counted(gateway, 'handshakes_refused_total{cause="plain-http"} 5.0')
            os.kill(gateway.child("service"), signal.SIGKILL)
            store.execute("ROLLBACK")
        await counted(gateway, "observations_lost_total 5.0")
        assert flood(gateway) == []


async def counted(gateway: Gateway, what: str) -> None:
    """Until the metrics say so; a service that is being started again tells none."""
    told = ""
    async with asyncio.timeout(PATIENCE):
        while f"mtls_ambassador_{what}" not in told:
            await asyncio.sleep(0.1)
            with suppress(aiohttp.ClientError):
                told = await metrics(gateway)
