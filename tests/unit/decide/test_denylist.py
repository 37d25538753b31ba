"""What is denied, packed and looked up: the same by binary search as by the sets it was made of."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.decide.denylist import Denied, Packed, Span, pack

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
SERIALS = st.frozensets(st.integers(0, 2**160 - 1).map(lambda number: b"%040x" % number), max_size=40)


KNOWN = ("CN=a", "CN=b", "CN=ü", "CN=stranger", "CN=whoever", "CN=gone")


def packed(denied: Denied) -> Packed:
    return Packed.read(pack(denied, KNOWN).to_bytes())


@given(SERIALS, st.dictionaries(st.sampled_from(["CN=a", "CN=b", "CN=ü"]), SERIALS), st.integers(0, 2**160 - 1))
def test_as_many_as_there_are_are_found_and_no_other(
    anyone: frozenset[bytes], of_issuers: dict[str, frozenset[bytes]], other: int
) -> None:
    found = packed(Denied(anyone, of_issuers))
    every = anyone.union(*of_issuers.values(), [b"%040x" % other])
    for issuer in ("CN=a", "CN=b", "CN=ü", "CN=stranger"):
        for serial in every:
            wanted = serial in anyone or serial in of_issuers.get(issuer, ())
            assert bool(found.why(issuer, int(serial, 16), NOON)) is wanted


@pytest.mark.parametrize(
    ("issuer", "hours", "denied"),
    [("CN=a", -2, False), ("CN=a", -1, True), ("CN=a", 0, True), ("CN=a", 1, False), ("CN=b", 0, False)],
)
def test_a_time_has_a_first_second_and_one_that_is_no_longer_in_it(issuer: str, hours: int, *, denied: bool) -> None:
    begins, ends = (int((NOON + dt.timedelta(hours=hours)).timestamp()) for hours in (-1, 1))
    found = packed(Denied(spans=(Span("CN=a", begins, ends),)))
    assert found.why(issuer, 1, NOON + dt.timedelta(hours=hours)) == ("dates" if denied else "")


def test_a_time_of_any_issuer_and_a_whole_ca() -> None:
    now = int(NOON.timestamp())
    found = packed(Denied(spans=(Span("", now, now + 1),), issuers=("CN=gone",)))
    assert found.why("CN=whoever", 1, NOON) == "dates"
    assert found.why("CN=gone", 1, NOON + dt.timedelta(days=9)) == "ca"
    assert found.why("CN=whoever", 1, NOON + dt.timedelta(days=9)) == ""


@pytest.mark.parametrize("content", [b"", b"00000002{", b"zzzzzzzz{}", b"00000003{]}"])
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Packed.read(content)


def test_it_counts_what_it_holds() -> None:
    serials = frozenset({b"%040x" % 1, b"%040x" % 2})
    assert Denied(serials, {"CN=a": serials}, (Span("", 0, 1),), ("CN=b",)).count == 6


@pytest.mark.parametrize(
    ("after", "more"),
    [
        (Denied(), False),
        (Denied(frozenset({b"%040x" % 1}), {"CN=a": frozenset({b"%040x" % 2})}, (Span("", 0, 1),), ("CN=b",)), False),
        (Denied(frozenset({b"%040x" % 3})), True),
        (Denied(of_issuers={"CN=a": frozenset({b"%040x" % 3})}), True),
        (Denied(of_issuers={"CN=c": frozenset({b"%040x" % 2})}), True),
        (Denied(spans=(Span("", 0, 2),)), True),
        (Denied(issuers=("CN=c",)), True),
    ],
)
def test_whether_somebody_more_is_denied(after: Denied, *, more: bool) -> None:
    before = Denied(frozenset({b"%040x" % 1}), {"CN=a": frozenset({b"%040x" % 2})}, (Span("", 0, 1),), ("CN=b",))
    assert after.exceeds(before) is more


@pytest.mark.parametrize("issuer", ["CN=A", "CN=a ", "CN=below a", ""])
def test_an_issuer_that_is_no_ca_of_the_bundle_is_held_against_the_rules_of_all(issuer: str) -> None:
    """Whoever has a CA's key writes the issuer as they like, or signs a CA below it."""
    now = int(NOON.timestamp())
    one = packed(Denied(of_issuers={"CN=a": frozenset({b"%040x" % 7}), "CN=x": frozenset({b"%040x" % 8})}))
    assert [one.why(issuer, serial, NOON) for serial in (7, 8, 9)] == ["serial", "serial", ""]
    assert [one.why("CN=b", serial, NOON) for serial in (7, 8, 9)] == ["", "", ""]
    assert packed(Denied(spans=(Span("CN=a", now, now + 1),))).why(issuer, 1, NOON) == "dates"
    gone = packed(Denied(issuers=("CN=gone",)))
    assert (gone.why(issuer, 1, NOON), gone.why("CN=a", 1, NOON)) == ("ca", "")


def test_a_serial_of_another_width_is_never_packed() -> None:
    with pytest.raises(ValueError, match="has not 40 digits"):
        pack(Denied(frozenset({b"1" * 41})))
    with pytest.raises(ValueError, match="not whole"):
        Packed.read(pack(Denied(frozenset({b"1" * 40}))).to_bytes()[:-1])
