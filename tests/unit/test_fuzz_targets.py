"""Whatever bytes a stranger sends, only the declared kind of error comes of it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.fuzz_targets import TARGETS

ROUNDS = 150
SOME = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [b"\0", b"\n", b"\xff", b'"', b"\\u0000", b"%00", b"[" * 5000, b"9" * 5000, b"NaN", b"-----", b"1e999"]
    ),
)
EDITS = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 12), SOME), min_size=1, max_size=4)
"""Where, how many bytes are taken out there, and what is put in."""


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, taken, put in edits:
        at = place % (len(data) + 1)
        data = data[:at] + put + data[at + taken :]
    return data


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=ROUNDS, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_only_the_declared_error(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    target.run(edited(data.draw(st.sampled_from([b"", *target.seeds])), data.draw(EDITS)))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("lines for the ledger", b'{"lost":Infinity}'),
        ("lines for the ledger", b"[" * 200_000),
        ("lines of Envoy", b"[" * 200_000),
        ("CSR", TARGETS["CSR"].seeds[-1].replace(b"\2\1\0", b"\2\1\5", 1)),
    ],
)
def test_what_was_found_before(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


PLACES, BYTES = st.integers(0, 2**12), st.sampled_from([0, 1, 3, 5, 12, 19, 23, 24, 48, 49, 128, 160, 255])


@pytest.mark.parametrize("name", ["certificate", "CA of a file", "CRL file", "CSR"])
@settings(max_examples=600, derandomize=True)
@given(changes=st.lists(st.tuples(PLACES, BYTES), min_size=1, max_size=2))
def test_one_byte_for_another_in_what_stays_whole(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(TARGETS[name].seeds[-1])
    for place, byte in changes:
        data[place % len(data)] = byte
    TARGETS[name].run(bytes(data))
