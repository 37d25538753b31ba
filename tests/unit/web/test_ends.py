"""Which end of a file's certificates an operator is told."""

import datetime as dt

from mtls_ambassador.web.ends import DEVICE_CAS, SERVER, End, first_ends

NOW = 1_000_000.0


def ends(what: str, *times: float) -> list[End]:
    return [End(what, "CN=x", dt.datetime.fromtimestamp(at, dt.UTC)) for at in times]


def test_of_a_bundle_the_first_to_end_of_those_that_have_not() -> None:
    assert first_ends(ends(DEVICE_CAS, NOW - 5, NOW + 20, NOW + 10), NOW) == {DEVICE_CAS: NOW + 10}


def test_of_a_bundle_that_is_over_the_last_one() -> None:
    assert first_ends(ends(DEVICE_CAS, NOW - 5, NOW - 3), NOW) == {DEVICE_CAS: NOW - 3}


def test_a_chain_is_over_with_its_first_certificate_though_its_ca_is_not() -> None:
    assert first_ends(ends(SERVER, NOW - 5, NOW + 900), NOW) == {SERVER: NOW - 5}


def test_each_file_by_itself() -> None:
    found = first_ends([*ends(DEVICE_CAS, NOW + 2), *ends(SERVER, NOW + 1)], NOW)
    assert found == {DEVICE_CAS: NOW + 2, SERVER: NOW + 1}
