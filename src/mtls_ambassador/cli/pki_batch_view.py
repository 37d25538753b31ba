"""How `pki batch` shows its work: a bar on a terminal, a summary after, and Ctrl-C made into a clean stop."""

import json
import signal
import sys
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

import click
from rich import progress
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from mtls_ambassador.flows.batch_manifest import Verdict
    from mtls_ambassador.flows.batch_run import Outcome

SHREDDED = (
    "On flash, journaling data, copy-on-write file systems, snapshots and backups, copies may remain that no program"
    " can reach; see `pki batch --help`."
)


class Progress:
    """A bar with rate and time left on standard error if that is a terminal; SIGINT and SIGTERM ask for a stop."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = time.monotonic()
        self._bar: progress.Progress | None = None
        self._stopped = False
        self._done: int | None = None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._started

    def is_stopped(self) -> bool:
        """Whether somebody asked for a stop."""
        return self._stopped

    def show(self, done: int, total: int) -> None:
        """So many are done."""
        if self._bar is not None:
            if self._done is None:
                self._bar.start()
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)
        self._done = done

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self._stopped = True

    def __enter__(self) -> Self:
        self._handlers = [(number, signal.signal(number, self._stop)) for number in (signal.SIGINT, signal.SIGTERM)]
        if sys.stderr.isatty():
            self._bar = _make_bar()
            self._bar.add_task("certificates", total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers:
            signal.signal(number, handler)
        if self._bar is not None and self._done is not None:
            self._bar.stop()


def _make_bar() -> progress.Progress:
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        _Rate(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


class _Rate(progress.ProgressColumn):
    def render(self, task: progress.Task) -> Text:
        """Certificates a second, lately."""
        return Text(f"{task.speed:.0f}/s" if task.speed else "")


def tell(outcome: "Outcome", out: str, seconds: float, *, as_json: bool) -> None:
    """How a batch went, on standard output unless the certificates go there."""
    to_error = out == "-"
    if as_json:
        click.echo(json.dumps(_facts(outcome, out, seconds)), err=to_error)
        return
    if outcome.voided:
        text = f"{outcome.voided} certificates of a run that was killed were not whole: revoked, and made anew"
        click.echo(f"{text}; run `mtls-ambassador pki crl`", err=True)
    if outcome.was_stopped:
        done = outcome.done_before + outcome.adopted + outcome.made
        text = f"stopped: {done} of {outcome.quantity} are done; run the same command again to go on"
    elif not outcome.made and not outcome.adopted:
        text = f"batch {outcome.batch}: all {outcome.quantity} were made before; nothing to do"
    else:
        before = (
            f" ({outcome.done_before + outcome.adopted} were made before)" if outcome.quantity > outcome.made else ""
        )
        rate = f", {outcome.made / seconds:.0f}/s" if seconds else ""
        text = f"batch {outcome.batch}: {outcome.made} devices in {seconds:.1f} s{rate}{before}; in {out}"
    click.echo(text, err=to_error)


def _facts(outcome: "Outcome", out: str, seconds: float) -> dict[str, object]:
    return {
        "batch": outcome.batch,
        "batch_id": outcome.batch_id,
        "quantity": outcome.quantity,
        "made": outcome.made,
        "made_before": outcome.done_before + outcome.adopted,
        "voided": outcome.voided,
        "finished": outcome.is_finished,
        "seconds": round(seconds, 3),
        "out": out,
    }


def tell_verdict(verdict: "Verdict", *, as_json: bool) -> None:
    """What a batch's folder holds; faults on standard error."""
    if as_json:
        facts = {"devices": verdict.devices, "whole": verdict.whole, "shredded": verdict.shredded}
        click.echo(json.dumps({**facts, "fault_count": verdict.fault_count, "faults": verdict.faults}))
        return
    for fault in verdict.faults:
        click.echo(fault, err=True)
    shredded = f", {verdict.shredded} without private key" if verdict.shredded else ""
    told = f"{verdict.devices} devices in the manifest, its signature is right: {verdict.whole} whole{shredded}"
    click.echo(f"{told}, {verdict.fault_count} faults")


def tell_shredded(count: int, *, as_json: bool) -> None:
    """How many keys were removed, and what that means."""
    if as_json:
        click.echo(json.dumps({"removed": count}))
        return
    click.echo(f"{count} private keys overwritten and removed. {SHREDDED}")
