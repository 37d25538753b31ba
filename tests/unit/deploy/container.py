"""The image without a container engine: the Dockerfile's own lines build it, this kernel's namespaces run it.

A container made so has a read-only root, its own mounts and process ids, user 65534, no capability and no way to get
one: what compose.yaml and the Kubernetes manifests ask for. It shares the network with the tests.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.gateway import clean_environ
from unit.deploy.dockerfile import ROOT, Stage

PREFIX = "/opt/mtls-ambassador"
STATE = "/var/lib/mtls-ambassador"
INIT = Path(__file__).with_name("container_init.py")
PATIENCE = 60.0


def build(stage: Stage, folder: Path) -> Path:
    """Do what the build stage says, with `/opt/...` and the working folder moved below `folder`; returns the venv."""
    python = folder / "python"
    subprocess.run([sys.executable, "-m", "venv", str(python)], check=True)
    environ = clean_environ() | {"PATH": f"{python}/bin:{os.environ['PATH']}"}
    workdir = folder / "build"
    workdir.mkdir()
    for item in stage.instructions:
        if item.word == "ENV":
            # The cache is this machine's, not the image's.
            environ |= {name: value for name, value in item.pairs.items() if name != "PIP_NO_CACHE_DIR"}
        elif item.word == "COPY":
            *sources, target = item.text.split()
            _copy(sources, workdir / target)
        elif item.word == "RUN":
            command = item.text.replace(PREFIX, f"{folder}{PREFIX}")
            done = subprocess.run(
                ["sh", "-c", command], cwd=workdir, env=environ, check=False, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
    venv = folder / PREFIX[1:]
    for script in (venv / "bin").glob("mtls-ambassador"):
        script.write_text(script.read_text().replace(f"{folder}{PREFIX}", PREFIX))
    return venv


def _copy(sources: list[str], target: Path) -> None:
    for source in sources:
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, target / path.name)


@dataclass(frozen=True, slots=True)
class Container:
    """How to start one."""

    venv: Path
    """What the image has in /opt."""
    volume: Path
    """The folder that is its state."""
    mounts: Mapping[str, Path]
    """Files by the path they have inside."""
    environ: Mapping[str, str]

    @asynccontextmanager
    async def started(self, folder: Path, *argv: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command as its process 1; killed in the end if it still runs."""
        spec = {
            "root": str(folder),
            "binds": {PREFIX: str(self.venv)} | {path: str(file) for path, file in self.mounts.items()},
            "volume": [STATE, str(self.volume)],
            "prefixes": sorted({sys.base_prefix, "/usr"}),
            "environ": {"PATH": f"{PREFIX}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **self.environ},
            "argv": list(argv),
        }
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
            *(sys.executable, str(INIT), json.dumps(spec)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def run(self, folder: Path, *argv: str) -> tuple[int, str]:
        """A command to its end: exit code and output."""
        async with asyncio.timeout(PATIENCE), self.started(folder, *argv) as process:
            output, _ = await process.communicate()
            return process.returncode or 0, output.decode()


def stop(process: asyncio.subprocess.Process) -> None:
    """What `docker stop` does: SIGTERM to process 1."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
