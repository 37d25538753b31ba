"""Which end of a file's certificates an operator is told."""

import datetime as dt

from mtls_ambassador.web.ends import End, first_ends

NOW = 1_000_000.0


def ends(what: str, *times: float) -> list[End]:
    return [End(what, "CN=x", dt.datetime.fromtimestamp(at, dt.UTC)) for at in times]


def test_the_first_to_end_of_those_that_have_not_ended() -> None:
    assert first_ends(ends("CA", NOW - 5, NOW + 20, NOW + 10), NOW) == {"CA": NOW + 10}


def test_when_all_have_ended_the_last_one() -> None:
    assert first_ends(ends("CA", NOW - 5, NOW - 3), NOW) == {"CA": NOW - 3}


def test_each_file_by_itself() -> None:
    assert first_ends([*ends("CA", NOW + 2), *ends("server", NOW + 1)], NOW) == {"CA": NOW + 2, "server": NOW + 1}
