"""Device certificates a second, made by the seed's openssl commands and by `pki batch`, in one run on one machine.

    python benchmarks/certificates.py [--count 20000] [--folder DIR]

Counted is CPU time of all processes, so the number is per core whatever else the machine does. Making a folder and two
files is measured by itself as well: file systems differ there by a factor of fifty, and it is no work of either way.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from measure.report import Report

SEED = """
openssl ecparam -genkey -name P-256 -noout -out device-private.key
openssl req -new -key device-private.key -out device-cert.req -config device-cert.conf
openssl x509 -req -CA ca-cert.pem -CAkey ca-private.key -CAcreateserial -in device-cert.req -out device.pem -days 3650
"""
CONF = "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\ncommonName = dev-{n}\norganizationName = My Organization\n"
SEED_COUNT = 40
GOAL = 2500


@dataclass
class Cost:
    count: int
    wall: float
    cpu: float
    rss_mb: float = 0

    @property
    def per_core(self) -> float:
        return self.count / self.cpu


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def by_seed(folder: Path) -> Cost:
    """The seed's own commands, one device after the other."""
    folder.mkdir()
    start = (
        "openssl ecparam -genkey -name P-256 -noout -out ca-private.key && openssl req -new -x509 -key ca-private.key"
    )
    subprocess.run(f"{start} -out ca-cert.pem -subj /CN=CA -days 3650", shell=True, check=True, cwd=folder)  # noqa: S602
    wall, cpu = time.monotonic(), children()
    for number in range(SEED_COUNT):
        (folder / "device-cert.conf").write_text(CONF.format(n=number))
        for command in SEED.strip().splitlines():
            subprocess.run(command.split(), check=True, cwd=folder, capture_output=True)
    return Cost(SEED_COUNT, time.monotonic() - wall, children() - cpu)


def by_batch(folder: Path, count: int, jobs: int) -> Cost:
    """`pki batch`: keys, certificates, files and records, start of the program and manifest included."""
    state = folder / "state"
    state.mkdir(parents=True)
    environ = {**os.environ, "MTLS_STATE_DIR": str(state)}
    program = [sys.executable, "-m", "mtls_ambassador", "pki"]
    subprocess.run([*program, "init", "--no-passphrase"], check=True, env=environ, capture_output=True)
    words = ["--count", str(count), "--name", "dev-{n:07}", "--out", str(folder / "out"), "--jobs", str(jobs), "--json"]
    measure = [sys.executable, __file__, "--measure", *program, "batch", *words]
    told = json.loads(subprocess.run(measure, check=True, env=environ, capture_output=True).stdout.splitlines()[-1])
    return Cost(count, told["wall"], told["cpu"], told["rss_mb"])


def measure(command: list[str]) -> None:
    """One command; its costs as the last line."""
    wall = time.monotonic()
    subprocess.run(command, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = {"wall": time.monotonic() - wall, "cpu": children(), "rss_mb": used.ru_maxrss / 1024}
    print(json.dumps(cost))


def by_file_system(folder: Path, count: int) -> float:
    """CPU seconds for a folder and two files, per device."""
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    started = time.process_time()
    for number in range(count):
        os.mkdir(f"d{number}", dir_fd=descriptor)
        for name in ("key", "cert"):
            file = os.open(f"d{number}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=descriptor)
            os.write(file, bytes(700))
            os.close(file)
    os.close(descriptor)
    return (time.process_time() - started) / count


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where to work, such as /dev/shm")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE too")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="certificates-", dir=options.folder))
    try:
        seed = by_seed(home / "seed")
        files = by_file_system(home / "files", min(options.count, 5000))
        small = by_batch(home / "small", options.count // 10, 1)
        batch = by_batch(home / "batch", options.count, os.cpu_count() or 1)
        report(seed, files, small, batch).save(options.json)
    finally:
        shutil.rmtree(home)


def report(seed: Cost, files: float, small: Cost, batch: Cost) -> Report:
    found = Report()
    # Between two lengths the cost of starting falls out.
    more = (batch.cpu - small.cpu) / (batch.count - small.count)
    print(f"seed's openssl commands     {seed.per_core:8.0f}/s per core   {seed.count / seed.wall:8.0f}/s")
    for cost in (small, batch):
        print(
            f"pki batch, {cost.count:8}         {cost.per_core:8.0f}/s per core   {cost.count / cost.wall:8.0f}/s"
            f"   {cost.per_core / seed.per_core:6.0f} x   {cost.rss_mb:.0f} MB in the largest process"
        )
    name = "device certificates, a second of CPU"
    found.row(name, f"{1 / more:.0f}/s", f">= {GOAL}/s", good=1 / more >= GOAL)
    found.row("pki batch over the openssl commands of Mender's page", f"{batch.per_core / seed.per_core:.0f} x")
    without = f"without it {1 / (more - files):.0f}/s"
    print(f"  of which folder and files {files * 1e6:8.0f} us on this file system; {without}")
    return found


if __name__ == "__main__":
    main()
