"""A download of 1 GB and an upload of 200 MB stream through without Envoy keeping them in memory."""

import asyncio
import hashlib
import subprocess
from pathlib import Path

from support.gateway import STUB, Gateway
from support.pki import Files, Pki
from support.upstream import Upstream

DOWNLOAD = 1_000_000_000
UPLOAD = 200_000_000
MOST_GROWTH_KB = 30_000


def peak_kb(pid: int) -> int:
    """The most memory the process ever had resident (VmHWM of proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


async def curl(pki: Pki, device: Files, *arguments: str) -> str:
    argv = ["curl", "-sS", "--fail", "--http1.1", "--cacert", str(pki.ca_file), "--cert", str(device.certificate)]
    process = await asyncio.create_subprocess_exec(
        *argv, "--key", str(device.key), "-o", "/dev/null", *arguments, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def test_memory_stays_as_it_was(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    device = pki.device()
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(UPLOAD))
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        path = f"{gateway.url}/api/devices/v1"
        await curl(pki, device, f"{path}/blob?bytes=1000000")
        envoy = gateway.child("envoy")
        before = peak_kb(envoy)
        size = await curl(pki, device, f"{path}/blob?bytes={DOWNLOAD}", "-w", "%{size_download}")
        assert int(size) == DOWNLOAD
        await curl(pki, device, f"{path}/upload", "-T", str(upload))
        assert (upstream.requests[-1].size, upstream.requests[-1].sha256) == (UPLOAD, _zeros(UPLOAD))
        assert peak_kb(envoy) - before < MOST_GROWTH_KB


def _zeros(count: int) -> str:
    return hashlib.sha256(bytes(count)).hexdigest()
