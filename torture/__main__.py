"""`python -m torture`: run the faults, print the table; exit code 1 when a promise was broken."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from torture import report
from torture.faults import SCENARIOS
from torture.pool import run_all
from torture.scenario import Result

ALONE = "TORTURE_MOUNTS_ALONE"


def main() -> int:
    """Exit codes: 0 all promises kept, 1 one was broken or a scenario could not be run, 2 wrong usage."""
    chosen = _arguments()
    if chosen.list:
        for name, each in SCENARIOS.items():
            print(f"{name:32} {each.what}")
        return 0
    _have_mounts_of_our_own()
    results = run_all(chosen.only or list(SCENARIOS), chosen.jobs, _tell)
    print(f"\n{report.markdown(results)}")
    if chosen.json:
        report.write_json(results, chosen.json)
    if missing := [result.scenario for result in results if result.missing]:
        print(f"{len(missing)} of {len(results)} could not be run here: {', '.join(missing)}", file=sys.stderr)
    return 1 if missing or any(result.broken for result in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="NAME", help="a scenario; may come again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    parser.add_argument("--jobs", type=int, default=2, help="scenarios at once  [default: 2]")
    parser.add_argument("--list", action="store_true", help="name the scenarios and run none")
    return parser.parse_args()


def _have_mounts_of_our_own() -> None:
    """Start again in a mount namespace, where that is allowed, so that what scenarios mount ends with us."""
    if (
        os.environ.get(ALONE)
        or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode
    ):
        return
    os.environ[ALONE] = "yes"
    os.execvp("unshare", ["unshare", "--mount", sys.executable, "-m", "torture", *sys.argv[1:]])  # noqa: S606


def _tell(result: Result) -> None:
    print(f"{result.scenario:32} {result.verdict}", flush=True)
    if result.broken:
        print("\n".join(f"    {line}" for line in result.log if '"address"' not in line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
