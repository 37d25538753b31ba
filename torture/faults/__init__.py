"""The scenarios, by kind; each is one function that injects before its `yield` and lifts after it."""

from torture.faults import clock, files, processes, store, upstream
from torture.scenario import ALL

__all__ = ["SCENARIOS", "clock", "files", "processes", "store", "upstream"]

SCENARIOS = ALL
