"""`device why` names the cause of staged failures against the real gateway, each device on an address of its own."""

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from mtls_ambassador.model.identity import Identity
from mtls_ambassador.pki.issue import Pair, make_ca, make_device, make_key, make_server
from mtls_ambassador.sandbox.devauth import Status
from mtls_ambassador.sandbox.device_wire import make_auth_request
from mtls_ambassador.sandbox.faults import Fault
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.client import request
from support.gateway import Gateway, clean_environ, settings
from support.ledger import until
from support.pki import Files, Pki, validity
from support.revocation import crl, serial_of

AUTH = "/api/devices/v1/authentication/auth_requests"
DEVICES = "/api/management/v2/devauth/devices"
PATIENCE = 30


@dataclass(slots=True)
class Stage:
    """A gateway before a sandbox, devices, and the command that is tried."""

    pki: Pki
    gateway: Gateway
    environ: dict[str, str]
    sandbox: SandboxServer
    _next: int = 0

    @classmethod
    @asynccontextmanager
    async def set(
        cls,
        folder: Path,
        *,
        upstream: str = "",
        environ: Mapping[str, str] | None = None,
        **config: Any,  # noqa: ANN401 - fields of the sandbox's configuration
    ) -> AsyncIterator["Stage"]:
        pki = Pki(folder)
        given = dict(environ or {})
        async with SandboxServer.running(
            SandboxConfig(password="password", decommission_delay=3600, **config)
        ) as sandbox:
            url = upstream or sandbox.url
            async with Gateway.running(pki, url, environ=given) as gateway:
                known = settings(pki, url, gateway.port, gateway.admin_port, gateway.folder) | given
                yield cls(pki, gateway, known, sandbox)

    async def send(self, files: Files | None, address: str, *, data: bytes = b"") -> bytes:
        """A call with this certificate from this address; empty when the handshake is refused."""
        with suppress(ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1",
                    self.gateway.port,
                    ssl=self.pki.client_context(files),
                    server_hostname="localhost",
                    local_addr=(address, 0),
                )
                try:
                    writer.write(data or request("/status"))
                    return await reader.read()
                finally:
                    writer.transport.abort()
        return b""

    async def enrol(self, pair: Pair, mac: str, address: str, **changes: Any) -> bytes:  # noqa: ANN401 - what a test does otherwise
        """An auth request; `key` signs it, `signature` is sent in place of the right one."""
        made = make_auth_request({"mac": mac}, changes.get("key") or pair.key)
        headers = "Content-Type: application/json", f"X-MEN-Signature: {changes.get('signature', made.signature)}"
        files = Files.write(self.pki.folder, f"pair-{mac.replace(':', '')}-{address}", pair)
        return await self.send(files, address, data=request(AUTH, *headers, method="POST", body=made.body))

    def pair(self, name: str) -> Pair:
        return make_device(self.pki.ca, name, validity())

    async def why(self, which: str) -> dict[str, Any]:
        """What the command says."""
        command = [sys.executable, "-m", "mtls_ambassador", "device", "why", which, "--json"]
        environ = clean_environ() | self.environ
        done = await asyncio.to_thread(
            subprocess.run, command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode in {0, 1}, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if found["in"] else 1)
        return found

    async def seen(self, which: str) -> dict[str, Any]:
        """What it says once the device's connection is on record."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.why(which)
                if any(step["name"] == "last connection" and step["state"] == "ok" for step in found["steps"]):
                    return found

    async def code(self, which: str, address: str = "") -> str:
        """The verdict, once what happened at that address is in the ledger."""
        if address:
            await until(self.gateway, "refusal", lambda row: row["address"] == address)
        return str((await self.why(which))["code"])


def mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


def identity(number: int) -> str:
    return json.dumps({"mac": mac(number)})


async def test_what_a_handshake_tells(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    revoked, denied = pki.device("revoked"), pki.device("denied")
    (tmp_path / "crl.pem").write_bytes(crl(pki.ca, [serial_of(revoked)]))
    (tmp_path / "denied").write_text(f"{serial_of(denied):x}\n")
    lists = {"MTLS_CRL_PATH": str(tmp_path / "crl.pem"), "MTLS_BLACKLIST_PATH": str(tmp_path / "denied")}
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as sandbox,
        Gateway.running(pki, sandbox.url, environ=lists) as gateway,
    ):
        known = settings(pki, sandbox.url, gateway.port, gateway.admin_port, gateway.folder) | lists
        stage = Stage(pki, gateway, known, sandbox)
        await stage.send(None, "127.0.0.41")
        assert await stage.code("127.0.0.41", "127.0.0.41") == "no-certificate"
        shown = {
            "127.0.0.42": ("unknown-ca", pki.stranger()),
            "127.0.0.43": ("expired", pki.device("old", dates=validity(-9, -1))),
            "127.0.0.44": ("not-yet-valid", pki.device("new", dates=validity(1, 9))),
            "127.0.0.45": ("revoked", revoked),
            "127.0.0.46": ("certificate-denied", denied),
        }
        for address, (cause, files) in shown.items():
            await stage.send(files, address, data=request("/api/devices/v1/x"))
            found = await stage.code(str(files.certificate), address)
            assert found == cause
        below = make_ca("Intermediate", validity(), issuer=pki.ca)
        leaf = make_device(below, "leaf", validity())
        files = Files.write(tmp_path, "leaf", leaf, (below,))
        alone = Files.write(tmp_path, "leaf-alone", leaf)
        await stage.send(alone, "127.0.0.47")
        verdict = await stage.why(str(files.certificate))
        assert verdict["code"] == "unknown-ca"
        assert "CN=Intermediate is not in MTLS_TENANT_CA_PEM" in json.dumps(verdict)
        clock = ["faketime", "1970-01-02", "openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}"]
        clock += ["-bind", "127.0.0.48:0", "-verify_return_error", "-CAfile", str(pki.ca_file)]
        await asyncio.to_thread(subprocess.run, clock, input=b"", capture_output=True, check=False)
        assert await stage.code("127.0.0.48", "127.0.0.48") == "server-refused"
        assert (await stage.why("127.0.0.48"))["failed"] == "clock"


async def test_what_the_rule_and_mender_tell(tmp_path: Path) -> None:
    async with Stage.set(tmp_path) as stage:
        await stage.enrol(stage.pair("a"), mac(1), "127.0.0.51", signature="bm90IHJpZ2h0")
        assert await stage.code("127.0.0.51", "127.0.0.51") == "signature-wrong"
        assert b" 200 " in await stage.enrol(stage.pair("b"), mac(2), "127.0.0.52")
        assert (await stage.why(identity(2)))["in"]
        assert (await stage.why("00:00:02"))["in"], "part of an identity"
        await stage.enrol(stage.pair("other"), mac(2), "127.0.0.53")
        assert await stage.code("127.0.0.53", "127.0.0.53") == "identity-taken"
        for number, act, code in ((3, "reject", "rejected-by-person"), (4, "decommission", "decommissioned")):
            pair, address = stage.pair(f"d{number}"), f"127.0.0.5{number + 1}"
            assert b" 200 " in await stage.enrol(pair, mac(number), address)
            device = stage.sandbox.state.devauth.find(Identity.parse(identity(number)))
            assert device
            if act == "reject":
                (only,) = device.auth_sets.values()
                stage.sandbox.state.devauth.set_status(device.id, only.id, Status.REJECTED)
            else:
                stage.sandbox.state.devauth.decommission(device.id)
            await stage.enrol(pair, mac(number), address)
            found = await stage.code(identity(number), address)
            assert found == code
            assert (await stage.why(identity(number)))["failed"] == "auth set in Mender"
        stage.sandbox.faults.add(Fault(path=AUTH, status=401))
        await stage.enrol(stage.pair("tenant"), mac(6), "127.0.0.57")
        assert await stage.code("127.0.0.57", "127.0.0.57") == "refused-upstream"
        stage.sandbox.faults.clear()
        stage.sandbox.faults.add(Fault(path=DEVICES, method="POST", status=403))
        await stage.enrol(stage.pair("rbac"), mac(7), "127.0.0.58")
        assert await stage.code("127.0.0.58", "127.0.0.58") == "not-permitted"
        stage.sandbox.faults.clear()
        async with stage.sandbox.outage():
            await stage.enrol(stage.pair("down"), mac(8), "127.0.0.59")
            assert await stage.code("127.0.0.59", "127.0.0.59") == "upstream-unreachable"


async def test_bindings_and_the_device_limit(tmp_path: Path) -> None:
    rules = {"MTLS_KEY_BINDING": "certificate", "MTLS_IDENTITY_BINDING": "mac={cn}"}
    async with Stage.set(tmp_path, environ=rules, device_limit=1) as stage:
        assert b" 200 " in await stage.enrol(stage.pair(mac(1)), mac(1), "127.0.0.61")
        await stage.enrol(stage.pair(mac(2)), mac(2), "127.0.0.62", key=make_key())
        assert await stage.code("127.0.0.62", "127.0.0.62") == "key-not-certificates"
        await stage.enrol(stage.pair("another"), mac(3), "127.0.0.63")
        assert await stage.code("127.0.0.63", "127.0.0.63") == "template-mismatch"
        await stage.enrol(stage.pair(mac(4)), mac(4), "127.0.0.64")
        assert await stage.code("127.0.0.64", "127.0.0.64") == "device-limit"


async def test_a_wrong_login(tmp_path: Path) -> None:
    async with Stage.set(tmp_path, environ={"MTLS_MENDER_PASS": "wrong"}) as stage:
        await stage.enrol(stage.pair("a"), mac(1), "127.0.0.65")
        assert await stage.code("127.0.0.65", "127.0.0.65") == "login-refused"


async def test_a_mender_that_is_not_trusted(tmp_path: Path) -> None:
    strange = make_server(make_ca("Strange", validity()), ["127.0.0.1", "localhost"], validity())
    async with Stage.set(tmp_path, tls=strange) as stage:
        await stage.enrol(stage.pair("a"), mac(1), "127.0.0.66")
        assert await stage.code("127.0.0.66", "127.0.0.66") == "upstream-untrusted"


async def test_what_others_do_is_not_held_against_a_device(tmp_path: Path) -> None:
    async with Stage.set(tmp_path) as stage:
        first, second = stage.pair("first"), stage.pair("second")
        for number, pair in ((1, first), (2, second)):
            assert b" 200 " in await stage.enrol(pair, mac(number), "127.0.0.71")
            assert (await stage.seen(identity(number)))["in"]
        await stage.send(None, "127.0.0.71")
        assert await stage.code("127.0.0.71", "127.0.0.71") == "no-certificate", "asked about the address"
        for number in (1, 2):
            assert (await stage.why(identity(number)))["in"], "a neighbour behind the same address shows no certificate"
        forged = _self_signed(tmp_path, first.certificate.serial_number)
        await stage.send(forged, "127.0.0.72")
        assert await stage.code("127.0.0.72", "127.0.0.72") == "unknown-ca"
        assert (await stage.why(identity(1)))["in"], "anybody may write its serial into a certificate of his own"


async def test_what_was_done_in_mender_since_counts(tmp_path: Path) -> None:
    async with Stage.set(tmp_path) as stage:
        devauth = stage.sandbox.state.devauth
        assert b" 200 " in await stage.enrol(stage.pair("a"), mac(1), "127.0.0.73")
        device = devauth.find(Identity.parse(identity(1)))
        assert device
        (only,) = device.auth_sets.values()
        devauth.set_status(device.id, only.id, Status.PENDING)
        assert (await stage.why(identity(1)))["code"] == "withdrawn"
        devauth.set_status(device.id, only.id, Status.ACCEPTED)
        assert (await stage.why(identity(1)))["in"]


async def test_a_device_that_sends_its_intermediate_is_in(tmp_path: Path) -> None:
    async with Stage.set(tmp_path) as stage:
        below = make_ca("Intermediate", validity(), issuer=stage.pki.ca)
        leaf = make_device(below, "leaf", validity())
        files = Files.write(tmp_path, "with-its-ca", leaf, (below,))
        made = make_auth_request({"mac": mac(1)}, leaf.key)
        headers = "Content-Type: application/json", f"X-MEN-Signature: {made.signature}"
        call = request(AUTH, *headers, method="POST", body=made.body)
        assert b" 200 " in await stage.send(files, "127.0.0.74", data=call)
        assert (await stage.seen(str(files.certificate)))["in"]


def _self_signed(folder: Path, serial: int) -> Files:
    key = make_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    dates = validity()
    made = x509.CertificateBuilder(name, name, key.public_key(), serial, dates.not_before, dates.not_after)
    return Files.write(folder, "forged", Pair(made.sign(key, hashes.SHA256()), key))
