"""Files of blocks: what was put in comes out, and anything else is refused, soon and in little memory."""

import hashlib
import json
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.blocks import decode, encode
from mtls_ambassador.model.errors import AmbassadorError

KIND = "a kind 1"
blocks = st.dictionaries(st.integers(0, 2**40).map(lambda page: page * 4096), st.binary(min_size=1, max_size=4096))
facts = st.dictionaries(st.text(), st.integers() | st.text())


def sealed(head: bytes, body: bytes) -> bytes:
    """A file with a right checksum, whatever is in it."""
    data = head + body
    return data + hashlib.sha256(data).digest()


def packed(*pieces: tuple[int, int, bytes]) -> bytes:
    """Blocks with offset and length as said."""
    return zlib.compress(b"".join(struct.pack("<QI", at, length) + block for at, length, block in pieces))


@given(facts, blocks)
def test_what_was_put_in_comes_out(said: dict[str, object], changed: dict[int, bytes]) -> None:
    file = decode(KIND, encode(KIND, said, changed), "x")
    assert (file.kind, file.facts, file.blocks) == (KIND, said, dict(sorted(changed.items())))


def test_names_of_any_bytes_survive() -> None:
    name = b"\xff.bmap".decode(errors="surrogateescape")
    assert decode(KIND, encode(KIND, {name: ""}, {}), "x").facts == {name: ""}


def test_another_kind_is_named() -> None:
    with pytest.raises(AmbassadorError, match="x: is not a file of the kind `b`"):
        decode("b", encode(KIND, {}, {}), "x")


@given(st.integers(0), st.integers(1, 255))
def test_one_byte_changed_is_damage(place: int, change: int) -> None:
    data = bytearray(encode(KIND, {"a": 1}, {0: b"x" * 300}))
    data[place % len(data)] ^= change
    with pytest.raises(AmbassadorError, match=r"is damaged or cut off|is not a file of the kind"):
        decode(KIND, bytes(data), "x")


@given(st.integers(0))
def test_cut_off_is_damage(place: int) -> None:
    data = encode(KIND, {"a": 1}, {0: b"x" * 300})
    with pytest.raises(AmbassadorError, match=r"is damaged or cut off|is not a file of the kind"):
        decode(KIND, data[: place % len(data)], "x")


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        (b"{}", packed((0, 4, b"abcd"), (2, 2, b"xy")), "overlap, or are not in their order"),
        (b"{}", packed((8, 4, b"abcd"), (0, 4, b"efgh")), "overlap, or are not in their order"),
        (b"{}", packed((8, 0, b"")), "blocks are empty"),
        (b"{}", packed((0, 9, b"abcd")), "a block is cut off"),
        (b"{}", zlib.compress(b"12345678901"), "cannot be read"),
        (b"{}", packed((0, 1, b"a"))[:-5], "do not end where the file does"),
        (b"{}", packed((0, 1, b"a")) + b"more", "do not end where the file does"),
        (b"{}", b"no zlib", "cannot be read"),
        (b"", zlib.compress(b""), "cannot be read"),
        (b"[]", zlib.compress(b""), "is no JSON object"),
        (b"{", zlib.compress(b""), "cannot be read"),
        (b"\xff", zlib.compress(b""), "cannot be read"),
        (b"[" * 100_000, zlib.compress(b""), "cannot be read"),
        (b"9" * 10_000, zlib.compress(b""), "cannot be read"),
    ],
)
def test_what_no_program_of_ours_wrote_is_refused(head: bytes, body: bytes, said: str) -> None:
    with pytest.raises(AmbassadorError, match=said):
        decode(KIND, sealed(f"{KIND}\n".encode() + head + b"\n", body), "x")


def test_as_much_as_is_allowed_and_no_more() -> None:
    data = encode(KIND, {}, {0: bytes(88)}, most=100)
    assert decode(KIND, data, "x", most=100).blocks == {0: bytes(88)}
    with pytest.raises(AmbassadorError, match="x: cannot be read: it holds more than 99 bytes of blocks"):
        decode(KIND, data, "x", most=99)
    with pytest.raises(AmbassadorError, match="too much changes at once: 100 bytes of blocks, and 99 are the most"):
        encode(KIND, {}, {0: bytes(88)}, most=99)


@pytest.mark.parametrize("first", [b"", struct.pack("<QI", 0, 2**32 - 1)])
def test_little_that_unpacks_to_much_stays_within_its_bounds(first: bytes) -> None:
    data = sealed(f"{KIND}\n{{}}\n".encode(), zlib.compress(first + bytes(64 << 20)))
    assert len(data) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(AmbassadorError, match=f"holds more than {8 << 20} bytes of blocks"):
            decode(KIND, data, "x", 8 << 20)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


def test_millions_of_empty_blocks_are_refused_at_the_first() -> None:
    with pytest.raises(AmbassadorError, match="blocks are empty"):
        decode(KIND, sealed(f"{KIND}\n{{}}\n".encode(), zlib.compress(bytes(12 << 20))), "x")


@given(st.binary())
def test_any_bytes_with_a_right_checksum(data: bytes) -> None:
    try:
        decode(KIND, sealed(f"{KIND}\n".encode(), data), "x")
    except AmbassadorError:
        return
    assert json.loads(data.partition(b"\n")[0]) is not None
