"""What a benchmark found: lines to read while it runs, values to keep, and one row for each number with a goal."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERDICTS = {None: "", True: "ok", False: "MISSED"}


@dataclass(slots=True)
class Report:
    """What was measured, as lines to read and as values to keep."""

    values: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """For the closing table of `make bench`."""

    def row(self, name: str, measured: str, goal: str = "", *, good: bool | None = None) -> None:
        self.rows.append({"name": name, "measured": measured, "goal": goal, "good": good})
        print(line(name, measured, goal, good=good), flush=True)

    def note(self, text: str) -> None:
        print(f"    {text}", flush=True)

    def save(self, path: Path | None) -> None:
        """To a file, when one was asked for."""
        if path:
            path.write_text(json.dumps({"rows": self.rows, **self.values}, indent=1) + "\n")


def line(name: str, measured: str, goal: str = "", *, good: bool | None = None) -> str:
    """One row of a table."""
    return f"{name:<64} {measured:>14}  {goal:<10} {VERDICTS[good]}".rstrip()
