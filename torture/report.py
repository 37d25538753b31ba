"""The results of `make torture` as a table for people and as JSON for programs."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from torture.scenario import Result

HEAD = (
    "scenario",
    "injected",
    "calls meanwhile: failed",
    "after it",
    "new, let in",
    "kept out",
    "recovered",
    "verdict",
)
MOST = 3
"""Kinds of failure that a cell tells."""


def row(result: Result) -> tuple[str, ...]:
    """One line of the table, as cells; what was kept out are the calls of denied devices and strangers."""
    if result.missing:
        return (f"`{result.scenario}`", result.what, "", "", "", "", "", result.verdict)
    recovery = "no" if result.recovery is None else f"{result.recovery:.1f} s"
    calls = (_calls(result.calls.get(phase, {})) for phase in ("while", "after"))
    notes = f" ({'; '.join(result.notes)})" if result.notes else ""
    numbers = (str(result.enrolled), str(result.unwelcome), recovery)
    return (f"`{result.scenario}`", result.what, *calls, *numbers, result.verdict + notes)


def markdown(results: Iterable[Result]) -> str:
    """The table."""
    lines = [HEAD, tuple("---" for _ in HEAD), *map(row, results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_json(results: Iterable[Result], path: Path) -> None:
    """All that is known of each."""
    found = [asdict(result) | {"verdict": result.verdict} for result in results]
    path.write_text(json.dumps(found, indent=1))


def _calls(counts: Mapping[str, int]) -> str:
    failed = Counter[str]()
    for what, number in counts.items():
        if what != "ok":
            failed[what.rpartition(": ")[2]] += number
    told = ", ".join(what for what, _ in failed.most_common(MOST))
    return f"{sum(counts.values())}: {failed.total()}{f' ({told})' if told else ''}"
