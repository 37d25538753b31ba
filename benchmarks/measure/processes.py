"""The programs being measured: started with a clean environment, read through /proc, ended whatever happened."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0
SERVICE_CORE = 0
OTHER_CORE = 1
"""One core is the measured program's alone; everything else shares the other."""
NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder for one run, with a bytecode cache of its own, as an installed package has one."""

    folder: Path

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["Workshop"]:
        """A folder that is gone afterwards; its path is short, because Unix sockets lie below it."""
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            yield cls(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        """Our environment without any setting of a gateway, plus `given`."""
        ours = ("MTLS_", "HTTPS_", "UPSTREAM_", "METRICS_", "RUNTIME_DIRECTORY", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | {"PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"), "TMPDIR": str(self.folder)} | dict(given)


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(
    argv: Sequence[str], environ: Mapping[str, str], *, core: int | None = None, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child process, on one core when told; its standard error goes to the file `log`."""
    pinned = ["taskset", "-c", str(core), *argv] if core is not None else list(argv)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(*pinned, env=dict(environ), stderr=output, stdout=output)
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Two SIGTERM end a gateway at once; SIGKILL if even that failed."""
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await process.wait()


def module(name: str, *arguments: str) -> list[str]:
    """A command line that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *arguments]


def script(name: str, *arguments: str) -> list[str]:
    """A command line that runs a script beside this one."""
    return [sys.executable, str(Path(__file__).with_name(name)), *arguments]


def children(pid: int) -> list[int]:
    """The process ids of the direct children."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def role(pid: int) -> str:
    """Which part of a gateway a child process is; empty when it is neither."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return ""
    if "service" in line:
        return "service"
    return "Envoy" if "--drain-time-s" in line else ""


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, all threads that still run, to the nanosecond; its ended children are not in it."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / NANOSECONDS


def pss_megabytes(pid: int) -> float:
    """Proportional set size (proc(5)): memory shared with others counts by its share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise ValueError(f"/proc/{pid}/smaps_rollup has no Pss")
