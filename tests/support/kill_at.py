"""The program, killed (SIGKILL) where KILL_AT says: `module:name:before|after:count`. Worker processes too.

A script and not a module: what it wraps is wrapped again in each worker process, which imports it anew.
"""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from mtls_ambassador.cli import main


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wrapped(function: Callable[..., Any], when: str, count: int) -> Callable[..., Any]:
    calls = 0

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever it wraps
        nonlocal calls
        calls += 1
        if calls == count and when == "before":
            die()
        result = function(*args, **options)
        if calls == count and when == "after":
            die()
        return result

    return call


def arm(point: str) -> None:
    module, name, when, count = point.split(":")
    owner: Any = importlib.import_module(f"mtls_ambassador.{module}")
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, wrapped(getattr(owner, last), when, int(count)))


if os.environ.get("KILL_AT"):
    arm(os.environ["KILL_AT"])

if __name__ == "__main__":
    sys.exit(main())
