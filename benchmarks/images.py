"""Files into disk images: the real mender-artifact and `image` side by side, provisioning, and patches.

    python benchmarks/images.py [--folder DIR] [--devices 2000] [--skip-peer] [--json FILE]

Needs 12 GB in DIR. The peer alone takes about five minutes: it copies all partitions out and back for each file.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from measure.disk_image import make_image, run
from mtls_ambassador.flows.apply_patch import Request, apply_patch
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.patch import decode_patch

OURS = [str(Path(sys.executable).with_name("mtls-ambassador")), "image"]
PEER = ["mender-artifact"]
GATEWAY = "https://gateway.acme-devices.io"
CONF = f'{{"ServerURL": "{GATEWAY}", "HttpsClient": {{"Certificate": "/data/mender/mender-cert.pem"}}}}\n'


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu: float
    written_mb: float
    rss_mb: float


def measured(commands: list[list[str]], folder: Path) -> Cost:
    """Commands one after the other, in a process of their own that counts them and their children."""
    argv = [sys.executable, str(Path(__file__).resolve()), "--measure", json.dumps(commands)]
    environ = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(argv, cwd=folder, env=environ, check=True, capture_output=True, text=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def measure(commands: list[list[str]]) -> None:
    started = time.monotonic()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = Cost(
        time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_oublock / 2048, used.ru_maxrss / 1024
    )
    print(json.dumps(cost.__dict__))


def read_command(tool: list[str], image: Path) -> list[list[str]]:
    return [[*tool, "cp", f"{image}:/etc/mender/mender.conf", "old.conf"]]


def write_commands(tool: list[str], image: Path) -> list[list[str]]:
    """Mender's page "Client certificates": key, certificate and the edited mender.conf."""
    return [
        [*tool, "install", "-m", "600", "key.pem", f"{image}:/data/mender/mender-cert-private.pem"],
        [*tool, "install", "-m", "644", "cert.pem", f"{image}:/data/mender/mender-cert.pem"],
        [*tool, "cp", "mender.conf", f"{image}:/etc/mender/mender.conf"],
    ]


def lay_out(folder: Path) -> None:
    """The three files, and the same once more as an overlay."""
    subject = ["-subj", "/CN=cam-1", "-days", "30", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    run("openssl", "req", "-x509", *subject, "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    (folder / "mender.conf").write_text(CONF)
    for mode, name, path in (
        ("600", "key.pem", "data/mender/mender-cert-private.pem"),
        ("644", "cert.pem", "data/mender/mender-cert.pem"),
        ("644", "mender.conf", "etc/mender/mender.conf"),
    ):
        run("install", "-D", "-m", mode, folder / name, folder / "overlay" / path)
    run("install", "-D", folder / "mender.conf", folder / "warm-up" / "etc" / "warm-up")


def install(folder: Path, golden: Path, *, skip_peer: bool) -> dict[str, object]:
    lay_out(folder)
    image = folder / "copy.sdimg"
    runs = {
        "mender-artifact, mender.conf read": read_command(PEER, image),
        "mender-artifact, three files in three commands": write_commands(PEER, image),
        "image, mender.conf read": read_command(OURS, image),
        "image, three files in three commands": write_commands(OURS, image),
        "image, three files in one command": [[*OURS, "overlay", "overlay", str(image)]],
    }
    costs: dict[str, Cost] = {}
    for what, commands in runs.items():
        if skip_peer and commands[0][:1] == PEER:
            continue
        copy(golden, image)
        if commands[0][:1] != PEER:
            measured([[*OURS, "overlay", "warm-up", str(image)]], folder)  # bytecode is compiled once in a lifetime
        costs[what] = cost = measured(commands, folder)
        numbers = f"{cost.seconds:8.3f} s, {cost.written_mb:8.2f} MB written, {cost.rss_mb:4.0f} MB memory (goal 60)"
        print(f"{what:>47}: {numbers}")
    image.unlink()
    results: dict[str, object] = {what: cost.__dict__ for what, cost in costs.items()}
    if not skip_peer:
        _, peer, _, *ours = costs.items()
        for what, cost in ours:
            results[f"ratio, {what}"] = ratio = peer[1].seconds / cost.seconds
            print(f"{what:>47}: {ratio:8.0f} times as fast as mender-artifact (goal 500)")
    return results


def copy(golden: Path, image: Path) -> None:
    run("cp", "--sparse=always", golden, image)
    os.sync()


def provision(folder: Path, golden: Path, count: int) -> dict[str, object]:
    """Between two numbers of devices the cost of starting falls out."""
    os.environ["MTLS_STATE_DIR"] = str(folder / "state")
    run(OURS[0], "pki", "init", "--no-passphrase")
    costs = []
    for number, name in ((count // 10, "warm"), (count // 10, "few"), (count, "many")):
        order = ["--count", str(number), "--name", f"{name}-{{n:06}}", "--out", name, "--jobs", "1", "--json"]
        costs.append(measured([[*OURS, "provision", str(golden), *order, "--server-url", GATEWAY]], folder))
    _, few, many = costs
    per_core = (count - count // 10) / (many.cpu - few.cpu)
    sizes = [path.stat().st_size for path in (folder / "many").glob("*.patch")]
    print(f"       provision: {per_core:8.0f} devices/s per core, certificates included (goal 100)")
    print(f"                  {max(sizes) / 1000:8.1f} kB the largest patch (goal 40), {few.seconds:.1f} s to start")
    return {"devices_per_core": per_core, "largest_patch": max(sizes), "seconds_to_start": few.seconds}


def apply(folder: Path, golden: Path) -> dict[str, object]:
    """Patches onto a copy of the golden image: all checks, the write, the wait for the disk, the reading back."""
    image = folder / "device.sdimg"
    copy(golden, image)
    raw, times = RawFile(os.open(golden, os.O_RDONLY)), []
    target = os.open(image, os.O_RDWR)
    for path in sorted((folder / "many").glob("*.patch"))[:100]:
        request = Request(path, golden, image, False, lambda disk: None, lambda what, done, total: None)  # noqa: ARG005, FBT003
        started = time.perf_counter()
        apply_patch(request)
        times.append(time.perf_counter() - started)
        for offset, block in decode_patch(path.read_bytes(), path.name).blocks.items():
            os.pwrite(target, raw.read(offset, len(block)), offset)
        os.fsync(target)
    median = statistics.median(times[1:]) * 1000
    print(f"           apply: {median:8.2f} ms a patch (goal 10), {max(times[1:]) * 1000:.2f} the slowest of 99")
    return {"apply_ms": median}


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        measure(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to work")
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="images-", dir=options.folder))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        golden = make_image(folder)
        results = {
            "install": install(folder, golden, skip_peer=options.skip_peer),
            "provision": provision(folder, golden, options.devices),
            "apply": apply(folder, golden),
        }
        if options.json:
            options.json.write_text(json.dumps(results, indent=2) + "\n")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
