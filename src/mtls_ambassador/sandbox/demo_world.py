"""What the demo runs on: a throw-away PKI, the sandbox as Mender server, and the real gateway as a process."""

import asyncio
import datetime as dt
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mtls_ambassador.flows.children import end_with_parent
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.device import AuthSetStatus, MenderDevice
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import Pair, Validity, make_ca, make_server
from mtls_ambassador.sandbox.server import SandboxServer
from mtls_ambassador.settings import Listen, Secret, Settings
from mtls_ambassador.settings.parse import parse_upstream

HOST = "127.0.0.1"
PATIENCE = 30
DAYS = 30
FOREIGN = ("MTLS_", "HTTPS_", "HTTP_LISTEN", "HTTP_ENABLED", "UPSTREAM_", "METRICS_")


@dataclass(frozen=True, slots=True)
class Pki:
    """The demo's CA and server certificate, and the files the gateway reads."""

    folder: Path
    ca: Pair
    server: Pair
    validity: Validity

    @classmethod
    def make(cls, folder: Path) -> "Pki":
        """Make them, good for a month."""
        validity = Validity.days(dt.datetime.now(dt.UTC), DAYS)
        ca = make_ca("My CA", validity)
        pki = cls(folder, ca, make_server(ca, ["localhost", HOST], validity), validity)
        (folder / "ca-cert.pem").write_bytes(ca.certificate_pem)
        (folder / "server-cert.pem").write_bytes(pki.server.certificate_pem)
        (folder / "server-private.key").touch(mode=0o600, exist_ok=False)
        (folder / "server-private.key").write_bytes(pki.server.key_pem)
        return pki


@dataclass(slots=True)
class Gateway:
    """The gateway's process, started as a user starts it."""

    environ: dict[str, str]
    url: str
    admin: str
    process: asyncio.subprocess.Process
    log: list[str] = field(default_factory=list)

    async def ready(self) -> float:
        """Wait until it serves; the seconds it took by its own account. Raises AmbassadorError with its log."""
        try:
            async with asyncio.timeout(PATIENCE):
                async for line in self._lines():
                    if line.get("event") == "ready":
                        return float(str(line["seconds"]))
        except TimeoutError:
            pass
        raise AmbassadorError("the gateway did not start:\n" + "".join(self.log[-20:]))

    async def follow(self) -> None:
        """Keep reading its log, so that it never waits for us."""
        async for _ in self._lines():
            pass

    async def _lines(self) -> AsyncIterator[dict[str, object]]:
        assert self.process.stderr is not None  # noqa: S101 - it was started with a pipe
        async for raw in self.process.stderr:
            text = raw.decode(errors="replace")
            self.log.append(text)
            try:
                line = json.loads(text)
            except ValueError:
                continue
            yield line


@asynccontextmanager
async def run_gateway(pki: Pki, sandbox: SandboxServer) -> AsyncIterator[Gateway]:
    """Run `mtls-ambassador run` with the seed's variables until the block ends."""
    ports = _free_ports(2)
    given = {
        "MTLS_MENDER_USER": sandbox.state.config.user,
        "MTLS_MENDER_PASS": sandbox.state.config.password,
        "MTLS_MENDER_BACKEND": sandbox.url,
        "MTLS_SERVER_CERT": str(pki.folder / "server-cert.pem"),
        "MTLS_SERVER_KEY": str(pki.folder / "server-private.key"),
        "MTLS_TENANT_CA_PEM": str(pki.folder / "ca-cert.pem"),
        "MTLS_LISTEN": f"{HOST}:{ports[0]}",
        "MTLS_ADMIN_LISTEN": f"{HOST}:{ports[1]}",
        "MTLS_STATE_DIR": str(pki.folder / "state"),
        "MTLS_LOG_FORMAT": "json",
    }
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mtls_ambassador", "run"),
        env=own | given,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
        start_new_session=True,
        preexec_fn=partial(end_with_parent, os.getpid()),
    )
    gateway = Gateway(given, f"https://localhost:{ports[0]}", f"http://{HOST}:{ports[1]}", process)
    try:
        yield gateway
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.gather(gateway.follow(), process.wait())


async def accepted_devices(sandbox: SandboxServer) -> list[MenderDevice]:
    """What the Mender server says it accepted, asked over its management API."""
    config = sandbox.state.config
    nowhere = Path(os.devnull)
    settings = Settings(
        listen=Listen(HOST, 0),
        server_certificate=nowhere,
        server_key=nowhere,
        tenant_ca=nowhere,
        upstream=parse_upstream(sandbox.url),
        mender_user=config.user,
        mender_password=Secret(config.password),
    )
    async with MenderClient.open(settings) as mender:
        return [device async for device in mender.devices(AuthSetStatus.ACCEPTED)]


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; held together, so that they differ."""
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """A private folder for the block."""
    with tempfile.TemporaryDirectory(prefix="mtls-demo-") as name:
        yield Path(name)
