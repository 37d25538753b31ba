"""Counts of the store become bars: each in the right one, none twice."""

import datetime as dt

from mtls_ambassador.web.page.series import RANGES, binned, by_cause, charts, range_of

NOW = dt.datetime(2026, 11, 28, 5, 41, 3, tzinfo=dt.UTC)
HOUR, DAY, MONTH = RANGES


def at(**ago: int) -> dt.datetime:
    return NOW.replace(second=0) - dt.timedelta(**ago)


def test_now_is_in_the_last_bar() -> None:
    for span in RANGES:
        starts = span.starts(NOW)
        assert len(starts) == span.bars
        assert starts[-1] <= NOW < starts[-1] + dt.timedelta(seconds=span.step)


def test_a_count_is_in_the_bar_of_its_time() -> None:
    bars = binned([(at(), "", 3), (at(minutes=59), "", 4), (at(minutes=60), "", 5)], HOUR, NOW)
    assert (bars[-1], bars[0], sum(bars)) == (3, 4, 7)


def test_hours_make_days() -> None:
    today = NOW.replace(hour=0, minute=0, second=0)
    bars = binned(
        [(today, "", 1), (today + dt.timedelta(hours=4), "", 2), (today - dt.timedelta(hours=1), "", 8)], MONTH, NOW
    )
    assert bars[-2:] == (8, 3)


def test_auth_requests_by_what_became_of_them() -> None:
    kinds = {"auth-requests": [(at(), "known", 5), (at(), "identity-taken", 2), (at(), "upstream-unreachable", 1)]}
    chart = next(item for item in charts(kinds, HOUR, NOW) if item.key == "auth-requests")
    assert [(series.name, sum(series.values)) for series in chart.series] == [
        ("accepted", 5),
        ("asked to come later", 1),
        ("refused", 2),
    ]


def test_causes_with_the_most_first_and_without_what_was_accepted() -> None:
    kinds = {
        "handshakes": [(at(), "no-certificate", 2), (at(minutes=1), "no-certificate", 2)],
        "auth-requests": [(at(), "known", 50), (at(), "identity-taken", 9)],
    }
    assert by_cause(kinds) == [("auth-request", "identity-taken", 9), ("handshake", "no-certificate", 4)]


def test_an_unknown_range_is_the_first() -> None:
    assert range_of("<b>") is HOUR
    assert range_of("day") is DAY
