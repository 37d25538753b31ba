"""From counts of the store to the charts of the overview. Pure."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mtls_ambassador.model.reason import Verdict
from mtls_ambassador.web.page.causes import verdict_of
from mtls_ambassador.web.page.charts import Chart, Series

Count = tuple[dt.datetime, str, int]
"""When a step of the store began, the name of what was counted, how many."""


@dataclass(frozen=True, slots=True)
class Range:
    """A time that is looked at."""

    key: str
    text: str
    step: int
    """Seconds of a bar."""
    bars: int
    stored: int
    """Seconds of the store's step that is read for it."""

    def begin(self, now: dt.datetime) -> dt.datetime:
        """Of the first bar; the last one holds now."""
        last = int(now.timestamp()) // self.step * self.step
        return dt.datetime.fromtimestamp(last - (self.bars - 1) * self.step, dt.UTC)

    def starts(self, now: dt.datetime) -> tuple[dt.datetime, ...]:
        """Of each bar."""
        begin = self.begin(now)
        return tuple(begin + dt.timedelta(seconds=self.step * place) for place in range(self.bars))


RANGES = (
    Range("hour", "Last hour", 60, 60, 60),
    Range("day", "Last day", 3600, 24, 3600),
    Range("month", "Last 30 days", 86_400, 30, 3600),
)


def range_of(key: str) -> Range:
    """The one of that key; the first for any other."""
    return next((item for item in RANGES if item.key == key), RANGES[0])


def charts(kinds: Mapping[str, Iterable[Count]], span: Range, now: dt.datetime) -> list[Chart]:
    """Connections, calls, auth requests by what became of them, refusals by where."""
    counts = {kind: list(found) for kind, found in kinds.items()}

    def bars(kind: str, takes: Callable[[str], bool] = lambda _: True) -> tuple[int, ...]:
        return binned((item for item in counts.get(kind, ()) if takes(item[1])), span, now)

    def asked(verdict: Verdict) -> tuple[int, ...]:
        return bars("auth-requests", lambda name: verdict_of(name) is verdict)

    starts = span.starts(now)
    return [
        Chart("Connections", starts, span.step, (Series("opened", "calm", bars("connections")),), "connections"),
        Chart("Device calls", starts, span.step, (Series("calls", "calm", bars("calls")),), "calls"),
        Chart(
            "Auth requests",
            starts,
            span.step,
            (
                Series("accepted", "good", asked(Verdict.GRANTED)),
                Series("asked to come later", "wait", asked(Verdict.LATER)),
                Series("refused", "bad", asked(Verdict.REFUSED)),
            ),
            "auth-requests",
        ),
        Chart(
            "Refused before that",
            starts,
            span.step,
            (
                Series("handshakes", "bad", bars("handshakes")),
                Series("calls of denied devices", "wait", bars("denied-calls")),
            ),
            "refused",
        ),
    ]


def by_cause(kinds: Mapping[str, Iterable[Count]]) -> list[tuple[str, str, int]]:
    """Kind and code of each cause with its count, most first."""
    totals: dict[tuple[str, str], int] = {}
    for kind, refusal in (("handshakes", "handshake"), ("denied-calls", "call"), ("auth-requests", "auth-request")):
        for _, name, count in kinds.get(kind, ()):
            if refusal != "auth-request" or verdict_of(name) is not Verdict.GRANTED:
                totals[refusal, name] = totals.get((refusal, name), 0) + count
    return sorted(((kind, code, count) for (kind, code), count in totals.items()), key=lambda item: (-item[2], item))


def binned(counts: Iterable[Count], span: Range, now: dt.datetime) -> tuple[int, ...]:
    """How many in each bar; what is outside of the range does not count."""
    begin = span.begin(now)
    bars = [0] * span.bars
    for at, _, count in counts:
        place = int((at - begin).total_seconds() // span.step)
        if 0 <= place < span.bars:
            bars[place] += count
    return tuple(bars)
