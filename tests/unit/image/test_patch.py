"""Patches: read back as they were written, or refused with the reason."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.blocks import encode
from mtls_ambassador.image.patch import KIND, MAX_BYTES, Patch, decode_patch
from mtls_ambassador.model.errors import AmbassadorError

PATCH = Patch("cam-1", bytes(range(32)), 1 << 20, bytes(32), {4096: b"x" * 4096, 1 << 19: b"y" * 100})
FACTS = {"device": "cam-1", "golden_sha256": "0" * 64, "golden_size": 4096, "certificate_sha256": "f" * 64}


def test_read_back_as_written() -> None:
    assert decode_patch(PATCH.encoded(), "x") == PATCH
    assert decode_patch(replace(PATCH, device="cäm 1").encoded(), "x").device == "cäm 1"


def test_its_blocks_are_not_shown() -> None:
    assert "xxx" not in repr(PATCH)


@pytest.mark.parametrize("data", [b"", b"hello\n", PATCH.encoded()[:-1], PATCH.encoded() + b"\n"])
def test_damaged_or_none(data: bytes) -> None:
    with pytest.raises(AmbassadorError, match=r"x: .*; take the patch from its order's folder again"):
        decode_patch(data, "x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device", 1),
        ("device", "a\nb"),
        ("device", "\x1b[2J"),
        ("device", "\ud800"),
        ("golden_sha256", "0" * 63),
        ("golden_sha256", "g" * 64),
        ("golden_sha256", 5),
        ("golden_size", "4096"),
        ("golden_size", 4096.0),
        ("golden_size", float("inf")),
        ("golden_size", True),
        ("certificate_sha256", None),
    ],
)
def test_a_head_that_cannot_be_right(name: str, value: object) -> None:
    with pytest.raises(AmbassadorError, match="x: its head cannot be read"):
        decode_patch(encode(KIND, FACTS | {name: value}, {}), "x")


@pytest.mark.parametrize("name", list(FACTS))
def test_a_head_that_lacks_something(name: str) -> None:
    with pytest.raises(AmbassadorError, match=f"x: its head cannot be read: KeyError.*{name}"):
        decode_patch(encode(KIND, {key: value for key, value in FACTS.items() if key != name}, {}), "x")


@pytest.mark.parametrize("offset", [1, 4096, 2**64 - 1])
def test_blocks_behind_the_end_of_the_image(offset: int) -> None:
    with pytest.raises(AmbassadorError, match="x: has blocks behind the end of its image"):
        decode_patch(encode(KIND, FACTS, {offset: bytes(4096)}), "x")


def test_no_patch_is_made_that_could_not_be_read() -> None:
    page = bytes(1 << 20)
    many = {number << 20: page for number in range(MAX_BYTES >> 20)}
    with pytest.raises(AmbassadorError, match="too much changes at once"):
        replace(PATCH, golden_size=1 << 40, blocks=many).encoded()


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(list(FACTS)), json_values))
def test_any_head(facts: dict[str, object]) -> None:
    try:
        decode_patch(encode(KIND, FACTS | facts, {0: b"x"}), "x")
    except AmbassadorError as error:
        assert str(error).startswith("x: ")  # noqa: PT017 - either way is right


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(AmbassadorError, match=r"^x: "):
        decode_patch(data, "x")
