"""How `simulate` shows a run: a live table on the terminal, a summary after."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mtls_ambassador.sandbox.fleet_report import FleetReport, milliseconds


def live(report: FleetReport) -> AbstractContextManager[object]:
    """While the block runs, the state of the run on standard error; nothing when that is not a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    started = time.monotonic()
    console = Console(stderr=True)
    return Live(
        get_renderable=lambda: _frame(report, time.monotonic() - started),
        console=console,
        refresh_per_second=5,
        transient=True,
    )


def print_summary(report: FleetReport) -> None:
    """The summary on standard output."""
    console = Console()
    console.print(_table(report))
    reasons = _reasons(report)
    if reasons.row_count:
        console.print(reasons)
    rate = f", {report.through / report.elapsed:.1f} per second" if report.elapsed else ""
    colour = "green" if report.complete else "red"
    text = f"{report.through} of {report.devices} devices came through in {report.elapsed:.1f} s{rate}"
    console.print(Text(text, style=f"bold {colour}"))
    if report.stopped:
        console.print(Text(f"Stopped early: {report.stopped}", style="yellow"))


def _frame(report: FleetReport, seconds: float) -> RenderableType:
    rate = f", {report.ended / seconds:.1f} per second" if seconds else ""
    text = f"{report.through} through, {report.failed} failed, of {report.devices} in {seconds:.0f} s{rate}"
    bar = Table.grid()
    bar.add_row(ProgressBar(total=report.devices, completed=report.ended, width=60))
    reasons = _reasons(report)
    return Group(Text(text), bar, _table(report), *([reasons] if reasons.row_count else []))


def _table(report: FleetReport) -> Table:
    table = Table("step")
    for name in ("ok", "failed", "errors", "p50 ms", "p95 ms", "p99 ms", "max ms"):
        table.add_column(name, justify="right")
    for name, step in report.steps.items():
        times = [step.durations.percentile(percent) for percent in (50, 95, 99)]
        cells = [f"{milliseconds(seconds):g}" for seconds in (*times, step.durations.longest)]
        table.add_row(name, str(step.ok), str(step.failed), str(step.reasons.total()), *cells)
    return table


def _reasons(report: FleetReport) -> Table:
    table = Table("step", "error", show_edge=False)
    table.add_column("count", justify="right")
    for name, step in report.steps.items():
        for reason, count in step.reasons.most_common(10):
            table.add_row(name, Text(reason), str(count))
    return table
