"""A whole gateway (`mtls-ambassador run`) with its own certificates, and what is seen of its start from outside."""

import asyncio
import datetime as dt
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from measure.processes import PATIENCE, Workshop, children, cpu_seconds, free_port, module, role, running
from mtls_ambassador.pki.issue import Pair, Validity, make_ca, make_server

USER, PASSWORD = "mtls@example.com", "only-for-measuring"
POLL = 0.004
NOTHING: Mapping[str, str] = MappingProxyType({})
SIGNS = {
    "configuration rendered": "mtls-ambassador-*/*envoy.json",
    "configuration valid": "mtls-ambassador-*/envoy.json",
    "Envoy answers": "mtls-ambassador-*/admin.sock",
    "decision service listens": "mtls-ambassador-*/decision.sock",
}
"""Milestones of a start by the file that shows each."""


def validity() -> Validity:
    """Good from yesterday for a month."""
    return Validity.days(dt.datetime.now(dt.UTC).replace(microsecond=0), 30)


@dataclass(frozen=True, slots=True)
class Files:
    """The PEM files a gateway is given, and the CA to make devices with."""

    ca: Pair
    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Files":
        """A CA and a server certificate for 127.0.0.1."""
        ca = make_ca("Benchmark CA", validity())
        server = make_server(ca, ["127.0.0.1", "localhost"], validity())
        for name, content in (("ca", ca.certificate_pem), ("crt", server.certificate_pem), ("key", server.key_pem)):
            path = folder / f"{name}.pem"
            path.touch(mode=0o600)
            path.write_bytes(content)
        return cls(ca, folder)

    def environ(self, upstream: str, state: Path, port: int, admin_port: int) -> dict[str, str]:
        """The settings of a gateway in front of `upstream`."""
        return {
            "MTLS_LISTEN": f"127.0.0.1:{port}",
            "MTLS_ADMIN_LISTEN": f"127.0.0.1:{admin_port}",
            "MTLS_SERVER_CERT": str(self.folder / "crt.pem"),
            "MTLS_SERVER_KEY": str(self.folder / "key.pem"),
            "MTLS_TENANT_CA_PEM": str(self.folder / "ca.pem"),
            "MTLS_MENDER_BACKEND": upstream,
            "MTLS_MENDER_USER": USER,
            "MTLS_MENDER_PASS": PASSWORD,
            "MTLS_STATE_DIR": str(state),
        }


@dataclass(slots=True)
class Start:
    """When each thing was first seen, in seconds after the process was started; CPU seconds by process, when ready."""

    seen: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is ready."""

    pid: int
    url: str
    start: Start

    def parts(self) -> dict[str, int]:
        """Process ids by part."""
        named = {role(pid): pid for pid in children(self.pid)}
        return {"supervisor": self.pid, **{name: pid for name, pid in named.items() if name}}


@asynccontextmanager
async def gateway(
    workshop: Workshop,
    files: Files,
    upstream: str,
    state: Path,
    more: Mapping[str, str] = NOTHING,
    *,
    core: int | None = None,
) -> AsyncIterator[Gateway]:
    """Run one, with `more` settings and on one core when told, until the block ends; its start is watched."""
    port, admin_port = free_port(), free_port()
    home = workshop.folder / f"run-{port}"
    home.mkdir()
    environ = workshop.environ(files.environ(upstream, state, port, admin_port) | {"TMPDIR": str(home)} | dict(more))
    began = time.perf_counter()
    async with running(module("mtls_ambassador", "run"), environ, core=core, log=home / "log") as process:
        start = await _watch(process, home, began)
        yield Gateway(process.pid, f"https://127.0.0.1:{port}", start)


async def _watch(process: asyncio.subprocess.Process, home: Path, began: float) -> Start:
    """Note the milestones as their files appear; raises RuntimeError with the log when the gateway ends instead."""
    start = Start()
    while True:
        elapsed = time.perf_counter() - began
        start.seen |= {
            name: elapsed for name, pattern in SIGNS.items() if name not in start.seen and _exists(home, pattern)
        }
        if _is_ready(home / "log"):
            start.seen["ready"] = time.perf_counter() - began
            break
        if process.returncode is not None or elapsed > PATIENCE:
            raise RuntimeError(f"the gateway did not start:\n{(home / 'log').read_text()}")
        await asyncio.sleep(POLL)
    start.cpu = {role(pid) or "supervisor": cpu_seconds(pid) for pid in (process.pid, *children(process.pid))}
    return start


def _exists(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


def _is_ready(log: Path) -> bool:
    return any(_event(line) == "ready" for line in log.read_text().splitlines())


def _event(line: str) -> str:
    try:
        return str(json.loads(line).get("event", ""))
    except (ValueError, AttributeError):
        return ""
