"""Bars on standard error for what takes long with large images; nothing where that is no terminal."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

LABELS = {
    "wait": "waiting for others who have the image open",
    "hash": "golden image's hash",
    "map": "golden image's block map",
    "write": "writing",
    "verify": "reading back",
    "unpack": "unpacking",
    "pack": "packing",
    "audit": "images",
}
_UNITS = {"audit": "looked at", "wait": "done"}
"""Of work that is counted in pieces, not in bytes."""


class Bars:
    """One bar for each kind of work, shown when that first comes."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, int] = {}

    def show(self, what: str, done: int, total: int) -> None:
        """So much of so much is done of this work."""
        if not sys.stderr.isatty():
            return
        if self._progress is None:
            self._progress = _make()
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(LABELS[what], total=total, unit=_UNITS.get(what, ""))
        self._progress.update(self._tasks[what], completed=done, total=total)  # type: ignore[arg-type]  # its own number

    def pause(self) -> None:
        """Take the bars away, for a question."""
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._tasks = None, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()


def _make() -> "Progress":
    from rich import progress  # noqa: PLC0415 - slow to load, and seldom needed
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    class Amount(progress.ProgressColumn):
        """Bytes, or pieces."""

        bytes_done = progress.DownloadColumn()

        def render(self, task: progress.Task) -> Text:
            unit = task.fields["unit"]
            return Text(f"{task.completed:.0f}/{task.total:.0f} {unit}") if unit else self.bytes_done.render(task)

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        Amount(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
