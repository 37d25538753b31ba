"""What devices send is shown so that it harms neither the page nor its reader."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.web.page.texts import ago, isolated, number, short, visible, when

NOW = dt.datetime(2026, 11, 28, 5, 41, 3, tzinfo=dt.UTC)


def test_markup_is_escaped_and_isolated() -> None:
    assert isolated("<script>alert(1)</script>") == "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>"


@pytest.mark.parametrize(
    ("text", "seen"),
    [("a\0b", "a\\u0000b"), ("\u202egpj.exe", "\\u202egpj.exe"), ("a\nb", "a\\u000ab"), ("\U000e0041", "\\U000e0041")],
)
def test_what_cannot_be_seen_is_written_out(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert visible("x" * 10_000, 5) == "xxxxx… (10\u202f000 characters)"


@given(st.text())
def test_no_text_escapes(text: str) -> None:
    shown = isolated(text)
    inner = shown.removeprefix("<bdi>").removesuffix("</bdi>")
    assert not {"<", ">", '"', "'", "\0", "\n", "\u202e", "\u2066"} & set(inner)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (9999, "9999"),
        (12_345, "12.3 k"),
        (999_999, "1000 k"),
        (2_500_000, "2.5 M"),
        (10**15, "1000 T"),
    ],
)
def test_short_numbers(value: int, text: str) -> None:
    assert short(value) == text


def test_numbers_are_grouped() -> None:
    assert number(1_234_567) == "1\u202f234\u202f567"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (59, "now"),
        (60, "1\xa0min ago"),
        (7200, "2\xa0h ago"),
        (-86400 * 3, "in 3\xa0d"),
        (-61, "in 1\xa0min"),
    ],
)
def test_distance(seconds: int, text: str) -> None:
    assert ago(NOW - dt.timedelta(seconds=seconds), NOW) == text


def test_a_time_is_utc_whatever_its_zone() -> None:
    at = NOW.astimezone(dt.timezone(dt.timedelta(hours=5)))
    assert 'datetime="2026-11-28T05:41:03Z"' in when(at, NOW)
    assert "2026-11-28 05:41 " in when(at, NOW)


def test_never() -> None:
    assert "never" in when(None, NOW)
