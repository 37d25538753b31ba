"""Counts over time as SVG: stacked bars, their axes, and the same as a table. Pure: series in, markup out.

Texts stand beside the drawing, in HTML, so that they keep their size on a phone; the drawing stretches. Colour is by
class alone, for the content security policy allows no style in the markup.
"""

import datetime as dt
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from mtls_ambassador.web.page.texts import number, short

WIDTH, HEIGHT = 600, 100
DAY = 86_400
GAP = 0.2
"""Share of a step left free between two bars."""
ROWS = 40
"""Of the table; a longer series leaves out the steps in which nothing happened, and then the oldest."""


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart."""

    name: str
    tone: str
    """Class of its bars: `calm`, `good`, `bad`, `wait`."""
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn; all series have one value for each step."""

    title: str
    starts: tuple[dt.datetime, ...]
    """When each step begins."""
    step: int
    """Seconds."""
    series: tuple[Series, ...]
    key: str = ""
    """Names it among the others of its page."""

    @property
    def totals(self) -> list[int]:
        """Of all series, for each step."""
        return [sum(values) for values in zip(*(item.values for item in self.series), strict=True)]

    @property
    def total(self) -> int:
        """Of everything."""
        return sum(self.totals)


def ceiling(highest: int) -> int:
    """Where the axis ends: the next 1, 2 or 5 with zeros, and at least 1."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if factor * size >= highest:
                return factor * size
        size *= 10


def draw(chart: Chart) -> Markup:
    """A figure: caption, bars with what each says, axes, and a table that is folded away."""
    top = ceiling(max(chart.totals, default=0))
    summary = f"{chart.title}: {number(chart.total)} in all, at most {number(max(chart.totals, default=0))} a bar"
    parts = (
        f'<figure class="chart" data-live="chart-{escape(chart.key)}">',
        f"<figcaption><strong>{escape(chart.title)}</strong> {_legend(chart)}</figcaption>",
        f'<div class="plot"><div class="y" aria-hidden="true"><span>{short(top)}</span><span>0</span></div>',
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(summary)}">',
        f'<path class="grid" d="M0 0.5H{WIDTH}M0 {HEIGHT / 2}H{WIDTH}"/>',
        *_bars(chart, top),
        f'<path class="axis" d="M0 {HEIGHT - 0.5}H{WIDTH}"/></svg>',
        f'<div class="x" aria-hidden="true">{_times(chart)}</div></div>',
        "" if chart.total else '<p class="quiet none">Nothing in this time.</p>',
        _table(chart),
        "</figure>",
    )
    return Markup("".join(parts))  # noqa: S704 - numbers and texts of ours, each escaped where it is put in


def _legend(chart: Chart) -> str:
    return " ".join(
        f'<span class="legend {item.tone}"><i aria-hidden="true"></i>{escape(item.name)} '
        f"{number(sum(item.values))}</span>"
        for item in chart.series
    )


def _bars(chart: Chart, top: int) -> list[str]:
    width = WIDTH / max(1, len(chart.starts))
    bars = []
    for place, start in enumerate(chart.starts):
        if not chart.totals[place]:
            continue
        says = ", ".join(f"{number(item.values[place])} {item.name}" for item in chart.series if item.values[place])
        bars.append(f"<g><title>{_label(start, chart.step)} UTC: {escape(says)}</title>")
        base = float(HEIGHT)
        for item in chart.series:
            if height := item.values[place] * HEIGHT / top:
                height = max(height, 1.0)  # one among a million is still seen
                base -= height
                left, wide = width * (place + GAP / 2), width * (1 - GAP)
                box = f'x="{left:.2f}" y="{max(base, 0):.2f}" width="{wide:.2f}" height="{height:.2f}"'
                bars.append(f'<rect class="{item.tone}" {box}/>')
        bars.append("</g>")
    return bars


def _times(chart: Chart) -> str:
    """First, middle and last step."""
    if not chart.starts:
        return ""
    places = sorted({0, len(chart.starts) // 2, len(chart.starts) - 1})
    return "".join(f"<span>{_label(chart.starts[place], chart.step)}</span>" for place in places)


def _label(start: dt.datetime, step: int) -> str:
    return f"{start:%Y-%m-%d}" if step >= DAY else f"{start:%H:%M}"


def _table(chart: Chart) -> str:
    places = [place for place in range(len(chart.starts)) if chart.totals[place]][-ROWS:]
    if not places:
        return ""
    head = "".join(f'<th scope="col" class="n">{escape(item.name)}</th>' for item in chart.series)
    rows = "".join(
        f'<tr><th scope="row">{chart.starts[place]:%Y-%m-%d %H:%M}</th>'
        + "".join(f'<td class="n">{number(item.values[place])}</td>' for item in chart.series)
        + "</tr>"
        for place in reversed(places)
    )
    return (
        '<details><summary>As a table</summary><div class="wide"><table>'
        f'<caption class="unseen">{escape(chart.title)}, newest first</caption>'
        f'<thead><tr><th scope="col">From, UTC</th>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>'
    )
