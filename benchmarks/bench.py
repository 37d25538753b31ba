"""`make bench`: the quick round of every benchmark, one after another, and one closing table.

    python benchmarks/bench.py [--only proxies gateway ...] [--json FILE]

Takes about ten minutes on two cores. Each script alone measures more, and longer; `--help` of each tells.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure.report import line

HERE = Path(__file__).parent
PARTS: dict[str, tuple[str, ...]] = {
    "proxies": ("--rounds", "5"),
    "gateway": ("--runs", "3"),
    "revocation": ("--serials", "100000", "--entries", "100000", "--calls", "600"),
    "certificates": ("--count", "5000"),
    "store": ("--rows", "100000"),
    "operators": ("--devices", "20000", "--refusals", "5000", "--rounds", "5"),
}
"""Smaller than what the documents report, where that takes a quarter of an hour."""
LONG: dict[str, tuple[str, ...]] = {"images": ("--skip-peer", "--devices", "200")}
"""Only when named: needs 12 GB."""
DEFAULT = HERE.parent / "build" / "bench.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*PARTS, *LONG], default=list(PARTS), help="run only these")
    parser.add_argument("--json", type=Path, default=DEFAULT, metavar="FILE", help="default: build/bench.json")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"cores": os.cpu_count(), "load before": os.getloadavg()[0]}
    failed = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in options.only:
            print(f"\n== {name}", flush=True)
            values = _run(name, Path(folder) / f"{name}.json")
            if values is None:
                failed.append(name)
            else:
                found[name] = values
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    _close(found, options.only, failed)
    print(f"\nall numbers: {options.json}")
    return 1 if failed else 0


def _run(name: str, path: Path) -> dict[str, Any] | None:
    """One script, in a process of its own; None when it left no numbers. One that missed a goal has left them."""
    began = time.monotonic()
    words = (PARTS | LONG)[name]
    subprocess.run([sys.executable, HERE / f"{name}.py", *words, "--json", path], check=False)
    print(f"-- {name}: {time.monotonic() - began:.0f} s", flush=True)
    return dict(json.loads(path.read_text())) if path.exists() else None


def _close(found: dict[str, Any], names: list[str], failed: list[str]) -> None:
    print(f"\n{line('all together', 'measured', 'goal')}")
    for name in names:
        for row in found.get(name, {}).get("rows", []):
            print(line(row["name"], row["measured"], row["goal"], good=row["good"]))
    for name in failed:
        print(line(name, "failed"))


if __name__ == "__main__":
    sys.exit(main())
