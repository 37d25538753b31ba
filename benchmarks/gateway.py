"""The numbers of the gateway: start, upstream calls, auth requests a second, memory. `docs/performance.md` explains."""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

import uvloop

from measure import calls, rate, start
from measure.gateway import Files
from measure.processes import Workshop
from measure.report import Report, line

PARTS = ("start", "calls", "rate")
GOAL_SECONDS, GOAL_RATE, GOAL_MEGABYTES = 2.0, 500.0, 200.0
GOAL_CALLS_NEW, GOAL_CALLS_KNOWN = 2, 1


def main() -> int:
    options = _options()
    if len(os.sched_getaffinity(0)) < 2:
        print("benchmarks/gateway.py: two cores are needed: one to measure, one for the rest", file=sys.stderr)
        return 1
    report = Report()
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(
        f"{cores} cores; load before: {load:.2f} (others take from what is measured; medians and CPU time suffer less)"
    )
    print(line("measured", "value", "goal"))
    with Workshop.opened() as workshop:
        files = Files.make(workshop.folder)
        if "start" in options.only:
            _start(report, workshop, files, options.runs)
        if "calls" in options.only:
            _calls(report, workshop, files)
        if "rate" in options.only:
            _rate(report, workshop, files, options.devices)
    report.save(options.json)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f"{__doc__} Takes about two minutes; starts and ends everything it needs, on the loopback device."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the values to FILE too")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure only these parts")
    parser.add_argument("--runs", type=int, default=5, help="starts of each kind (default 5)")
    parser.add_argument("--devices", type=int, default=1000, help="devices per kind of key (default 1000)")
    options = parser.parse_args()
    if options.runs < 1 or options.devices < rate.WARM_UP:
        parser.error(f"--runs must be at least 1, --devices at least {rate.WARM_UP}")
    return options


def _start(report: Report, workshop: Workshop, files: Files, runs: int) -> None:
    found = uvloop.run(start.measure(workshop, files, runs))
    report.values["start"] = [asdict(each) for each in found]
    for each in found:
        measured = f"{each.ready:.2f} s"
        report.row(f"start to ready, {each.name}", measured, "<= 2 s", good=each.ready <= GOAL_SECONDS)
        report.note(f"{each.runs} starts, {each.fastest:.2f} to {each.slowest:.2f} s; medians since the start:")
        report.note(", ".join(f"{name} {at:.2f}" for name, at in each.seen.items()))
        report.note("CPU seconds: " + ", ".join(f"{name} {used:.2f}" for name, used in each.cpu.items()))


def _calls(report: Report, workshop: Workshop, files: Files) -> None:
    per_auth, memory = uvloop.run(calls.measure(workshop, files, devices=20))
    report.values |= {"calls": asdict(per_auth), "memory": asdict(memory)}
    for name, measured, goal in (
        ("new", per_auth.new_device, GOAL_CALLS_NEW),
        ("known", per_auth.known_device, GOAL_CALLS_KNOWN),
    ):
        report.row(f"upstream calls per auth request, {name} device", f"{measured:g}", str(goal), good=measured == goal)
    report.note(f"and {per_auth.logins} login for all of them")
    for name, parts in (("at rest after the start", memory.at_start), ("at rest after 40 auth requests", memory.after)):
        total = sum(parts.values())
        report.row(f"memory {name} (PSS)", f"{total:.0f} MB", "<= 200 MB", good=total <= GOAL_MEGABYTES)
        report.note(", ".join(f"{part} {size:.0f}" for part, size in parts.items()))


def _rate(report: Report, workshop: Workshop, files: Files, devices: int) -> None:
    found = uvloop.run(rate.measure(workshop, files, devices))
    report.values["rate"] = [asdict(each) for each in found]
    peer = found[0]
    for each in found:
        is_peer = each is peer
        good = None if is_peer else each.per_second >= GOAL_RATE
        report.row(each.name, f"{each.per_second:.0f}/s", "" if is_peer else ">= 500/s", good=good)
        ratio = each.per_cpu_second / peer.per_cpu_second
        report.note(
            f"best round {each.best_per_second:.0f}/s; {each.per_cpu_second:.0f} per second of CPU,"
            f" {ratio:.2f} of the peer; p50 {each.p50_ms:.0f} ms, p99 {each.p99_ms:.0f} ms"
        )


if __name__ == "__main__":
    sys.exit(main())
