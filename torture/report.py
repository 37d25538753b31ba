"""The results of `make torture` as a table for people and as JSON for programs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from torture.scenario import Result

HEAD = ("scenario", "what is injected", "calls while (failed)", "calls after (failed)", "recovered", "verdict")


def row(result: Result) -> tuple[str, ...]:
    """One line of the table, as cells."""
    if result.missing:
        return (result.scenario, result.what, "", "", "", result.verdict)
    recovery = "no" if result.recovery is None else f"{result.recovery:.1f} s"
    calls = [_calls(result.calls.get(phase, {})) for phase in ("while", "after")]
    notes = f" ({'; '.join(result.notes)})" if result.notes else ""
    return (result.scenario, result.what, *calls, recovery, result.verdict + notes)


def markdown(results: Iterable[Result]) -> str:
    """The table."""
    lines = [HEAD, tuple("---" for _ in HEAD), *map(row, results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_json(results: Iterable[Result], path: Path) -> None:
    """All that is known of each."""
    found = [asdict(result) | {"verdict": result.verdict} for result in results]
    path.write_text(json.dumps(found, indent=1))


def _calls(counts: Mapping[str, int]) -> str:
    failed = {what: number for what, number in counts.items() if what != "ok"}
    told = ", ".join(f"{number} {what}" for what, number in sorted(failed.items(), key=lambda item: -item[1]))
    return f"{sum(counts.values())} ({sum(failed.values())}{': ' if told else ''}{told})"
