"""Charts: every count is drawn and in the table, whatever its size; and the drawing is well-formed."""

import datetime as dt
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.web.page.charts import HEIGHT, Chart, Series, ceiling, draw

START = dt.datetime(2026, 11, 28, 4, tzinfo=dt.UTC)


def chart(*series: tuple[int, ...], step: int = 60) -> Chart:
    starts = tuple(START + dt.timedelta(seconds=step * place) for place in range(len(series[0]) if series else 0))
    named = tuple(Series(f"name {place}", "calm", values) for place, values in enumerate(series))
    return Chart("Calls", starts, step, named, "calls")


def parsed(drawn: str) -> ET.Element:
    return ET.fromstring(drawn)  # noqa: S314 - what we made ourselves


def bars(drawn: str) -> list[dict[str, str]]:
    return [dict(each.attrib) for each in parsed(drawn).iter("rect")]


def test_one_bar_a_count() -> None:
    drawn = draw(chart((0, 3, 10)))
    assert [float(bar["height"]) for bar in bars(drawn)] == [pytest.approx(HEIGHT * 0.3), HEIGHT]


def test_series_are_stacked() -> None:
    low, high = bars(draw(chart((5,), (5,))))
    assert float(high["y"]) + float(high["height"]) == pytest.approx(float(low["y"]))


def test_nothing_is_said() -> None:
    drawn = draw(chart((0, 0)))
    assert not bars(drawn)
    assert "Nothing in this time." in drawn
    assert "Nothing" in draw(chart())


def test_one_among_a_million_is_seen() -> None:
    assert float(bars(draw(chart((1, 1_000_000))))[0]["height"]) == 1.0


def test_the_table_has_the_newest_first_and_leaves_out_what_is_empty() -> None:
    rows = [each.text for each in parsed(draw(chart((1, 0, 2)))).iter("th") if each.get("scope") == "row"]
    assert rows == ["2026-11-28 04:02", "2026-11-28 04:00"]


def test_days_are_labelled_by_date() -> None:
    assert "<span>2026-11-29</span>" in draw(chart((1, 1), step=86400))


@pytest.mark.parametrize(("highest", "top"), [(0, 1), (1, 1), (3, 5), (6, 10), (11, 20), (10**15 + 1, 2 * 10**15)])
def test_the_axis_ends_at_a_round_number(highest: int, top: int) -> None:
    assert ceiling(highest) == top


def test_names_are_escaped_and_nothing_is_styled_inline() -> None:
    drawn = draw(Chart("<b>", (START,), 60, (Series('"<i>', "bad", (1,)),), "x"))
    assert "<b>" not in drawn
    assert "style" not in drawn
    parsed(drawn)


@given(st.lists(st.integers(0, 10**18), max_size=60))
def test_bars_stay_within_the_drawing(values: list[int]) -> None:
    for bar in bars(draw(chart(tuple(values)))):
        assert 0 <= float(bar["y"]) <= HEIGHT
        assert float(bar["x"]) >= 0
