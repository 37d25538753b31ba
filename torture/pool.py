"""Scenarios side by side, each process with a part of the ports of its own."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

    from torture.scenario import Result


def run_all(names: Sequence[str], jobs: int, tell: Callable[["Result"], None]) -> list["Result"]:
    """Their results in this order; each is told as soon as it is there."""
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    for number in range(jobs):
        numbers.put(number)

    def done(future: "Future[Result]") -> None:
        tell(future.result())

    with ProcessPoolExecutor(jobs, context, initializer=_take_number, initargs=(numbers,)) as pool:
        futures = [pool.submit(_run_one, name) for name in names]
        for future in futures:
            future.add_done_callback(done)
        return [future.result() for future in futures]


def _take_number(numbers: "Queue[int]") -> None:
    """Before `support.ports` is imported, which divides the ports by it."""
    os.environ["PYTEST_XDIST_WORKER"] = f"gw{numbers.get()}"


def _run_one(name: str) -> "Result":
    from torture.faults import SCENARIOS  # noqa: PLC0415 - not before the process has its number
    from torture.scenario import run  # noqa: PLC0415 - see above

    return asyncio.run(run(SCENARIOS[name]))
