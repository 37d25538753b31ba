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
    ],
)
def test_what_was_found_before(name: str, data: bytes) -> None:
    TARGETS[name].run(data)
