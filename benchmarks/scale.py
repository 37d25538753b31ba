"""The gateway at the limits of two cores: storms, idle crowds, a rush while downloads run, and a day in minutes.

Everything runs on this machine: Mender's part is the sandbox, devices are simulated; both are Python, and use more CPU
than the gateway. `docs/performance.md` explains.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from measure import scenes
from measure.crowd import raise_files
from measure.gateway import Files
from measure.processes import Workshop

SCENES: dict[str, Callable[[scenes.Stage], Awaitable[scenes.Outcome]]] = {
    "storm": scenes.storm,
    "sockets": scenes.sockets,
    "rush": scenes.rush,
    "day": scenes.day,
}


def main() -> int:
    """Exit 1 when a promise is broken."""
    options = _options()
    raise_files()
    values: dict[str, Any] = {}
    is_good = True
    with Workshop.opened() as workshop:
        stage = scenes.Stage(workshop, Files.make(workshop.folder), options.devices, options.minutes * 60)
        for name in options.only:
            print(f"{name}: {scenes.__dict__[name].__doc__.splitlines()[0]}", flush=True)
            began = time.monotonic()
            outcome = uvloop.run(_run(SCENES[name], stage))
            values[name] = {"measured": outcome.measured, "broken": outcome.broken}
            for what, value in outcome.measured.items():
                print(f"    {what:<58} {value}", flush=True)
            for promise in outcome.broken:
                print(f"    BROKEN: {promise}", flush=True)
            print(f"    {time.monotonic() - began:.0f} s", flush=True)
            is_good &= not outcome.broken
    if options.json:
        options.json.write_text(json.dumps(values, indent=1) + "\n")
    return 0 if is_good else 1


async def _run(scene: Callable[[scenes.Stage], Awaitable[scenes.Outcome]], stage: scenes.Stage) -> scenes.Outcome:
    async with asyncio.timeout(3600):
        return await scene(stage)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"{__doc__} Takes about half an hour.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the values to FILE too")
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES), help="only these")
    parser.add_argument("--devices", type=int, default=10_000, help="of each crowd (default 10000)")
    parser.add_argument("--minutes", type=float, default=10, help="that WebSockets are held (default 10)")
    options = parser.parse_args()
    if options.devices < 10:
        parser.error("--devices must be at least 10")
    return options


if __name__ == "__main__":
    sys.exit(main())
