"""The gateway as users run it: a process with environment variables, waited for, read and ended."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from support.pki import Pki
from support.ports import free_port

STUB = (sys.executable, str(Path(__file__).with_name("stub_gateway.py")))
REAL = (sys.executable, "-m", "mtls_ambassador", "run")
PATIENCE = 30.0


class Gateway:
    """A running `mtls-ambassador run`; its log is collected line by line."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, admin_port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.admin_port = admin_port
        self.url = f"https://localhost:{port}"
        self.lines: list[str] = []
        self.folder = folder
        self._news = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        pki: Pki,
        upstream: str,
        *,
        environ: Mapping[str, str] | None = None,
        command: tuple[str, ...] = REAL,
        wait: bool = True,
    ) -> AsyncIterator["Gateway"]:
        """Start it before `upstream` with this PKI, wait until ready, and end it afterwards whatever happened."""
        port, admin_port = free_port(), free_port()
        # Not below the test's own folder: the path of a Unix socket must be short.
        folder = Path(tempfile.mkdtemp(prefix="gateway-"))
        given = settings(pki, upstream, port, admin_port, folder) | dict(environ or {})
        port, admin_port = (int(given[name].rpartition(":")[2]) for name in ("MTLS_LISTEN", "MTLS_ADMIN_LISTEN"))
        process = await asyncio.create_subprocess_exec(
            *command, env=clean_environ() | given, stderr=asyncio.subprocess.PIPE, limit=2**20
        )
        gateway = cls(process, port, admin_port, folder)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(gateway._collect())
            try:
                if wait:
                    await gateway.event("ready")
                yield gateway
            finally:
                await gateway.end()
                rmtree(folder, ignore_errors=True)

    @property
    def runtime(self) -> Path:
        """The folder with Envoy's configuration and the sockets."""
        return next(self.folder.glob("mtls-ambassador-*"))

    def events(self, name: str) -> list[dict[str, Any]]:
        """All log lines so far of this event."""
        return [fields for line in self.lines if (fields := _fields(line)).get("event") == name]

    async def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait until this event was logged `count` times, and return the last of them."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.events(name)) >= count or self._is_over)
        found = self.events(name)
        assert len(found) >= count, f"no {name!r} in the log:\n" + "\n".join(self.lines)
        return found[-1]

    def child(self, part: str) -> int:
        """The process id of the running child whose command line holds `part`."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return next(int(each) for each in children if part in Path(f"/proc/{each}/cmdline").read_text())

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the supervisor a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def end(self) -> None:
        """Two SIGTERM end it at once; SIGKILL if even that failed."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.returncode is not None:
                return
            self.signal(number)
            try:
                async with asyncio.timeout(0.2 if number is signal.SIGTERM else PATIENCE):
                    await self.process.wait()
            except TimeoutError:
                continue

    @property
    def _is_over(self) -> bool:
        return self.process.stderr is None or self.process.stderr.at_eof()

    async def _collect(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            async with self._news:
                self.lines.append(line.decode().rstrip("\n"))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


def clean_environ() -> dict[str, str]:
    """Our environment without any setting of a gateway."""
    prefixes = ("MTLS_", "HTTPS_", "HTTP_", "UPSTREAM_", "METRICS_", "RUNTIME_DIRECTORY")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def settings(pki: Pki, upstream: str, port: int, admin_port: int, folder: Path) -> dict[str, str]:
    """What every gateway of the tests is told."""
    return {
        "MTLS_LISTEN": f"127.0.0.1:{port}",
        "MTLS_ADMIN_LISTEN": f"127.0.0.1:{admin_port}",
        "MTLS_SERVER_CERT": str(pki.server.certificate),
        "MTLS_SERVER_KEY": str(pki.server.key),
        "MTLS_TENANT_CA_PEM": str(pki.ca_file),
        "MTLS_MENDER_BACKEND": upstream,
        "MTLS_MENDER_USER": "mtls@example.com",
        "MTLS_MENDER_PASS": "password",
        "MTLS_STATE_DIR": str(folder / "state"),
        "MTLS_ENVOY_WORKERS": "1",
        "TMPDIR": str(folder),
    }


def _fields(line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
