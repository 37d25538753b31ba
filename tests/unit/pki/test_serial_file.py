"""The denylist file: forms people write, lines that are no serial, and a million of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.pki.serial_file import parse_serials

ONE = b"0fa3".rjust(40, b"0")
INNER = ["0fa3 1b22", "0f a3:1b 22", "0fa:3", "0fa3:", ":0fa3", "0f::a3", "0 fa3", "0x 0fa3", "0x0x0f", "0f\x0ba3"]
"""Of these no one can say whether they are one serial or two."""


@pytest.mark.parametrize(
    "line",
    [
        "0fa3",
        "FA3",
        "0x0FA3",
        "0X0fa3",
        "0F:A3",
        "0f a3",
        "0F  A3",
        "0x0f:a3",
        "  0fa3\t",
        "00000000000000000000000000000000000000000000000fa3",
        "0fa3 # stolen, order 4711",
        "serial=0FA3",
        "0fa3\r",
        "\ufeff0fa3",
    ],
)
def test_a_serial_as_people_write_it(line: str) -> None:
    assert parse_serials(f"{line}\n".encode()) == parse_serials(line.encode()) == {ONE}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_line_is_a_serial_whatever_ends_it(end: str) -> None:
    two = ONE, b"1b22".rjust(40, b"0")
    assert (
        parse_serials(f"0fa3{end}1b22{end}".encode()) == parse_serials(f"# two{end}0FA3{end}0x1b22".encode()) == {*two}
    )


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n", b"   \n\t\n"])
def test_nobody(content: bytes) -> None:
    assert parse_serials(content) == set()


def test_zero_is_a_serial() -> None:
    assert parse_serials(b"0\n00\n") == {b"0" * 40}


@pytest.mark.parametrize(
    "line", ["stolen", "0xyz", "0f-a3", "1" * 41, "0x", "0fa3,0fa4", "=0fa3", "-1", "\x00", *INNER]
)
def test_a_line_that_is_none_is_named_and_nothing_is_used(line: str) -> None:
    with pytest.raises(FaultsError, match=r"line 2: .* is no serial; one hexadecimal serial"):
        parse_serials(f"0fa3\n{line}\n0fa4\n".encode())


def test_of_many_bad_lines_the_first_ten_are_named() -> None:
    with pytest.raises(FaultsError) as caught:
        parse_serials(b"x\n" * 50)
    assert str(caught.value).count("is no serial") == 10


@given(st.sets(st.integers(0, 2**160 - 1), max_size=50))
def test_the_quick_way_and_the_slow_way_agree(numbers: set[int]) -> None:
    quick = "".join(f"{number:x}\n" for number in numbers).encode()
    slow = "".join(f"0x{number:X} # one\n" for number in numbers).encode()
    assert parse_serials(quick) == parse_serials(slow) == {b"%040x" % number for number in numbers}


@given(st.binary(max_size=200))
def test_any_bytes_are_serials_or_faults(content: bytes) -> None:
    try:
        found = parse_serials(content)
    except FaultsError:
        return
    assert all(len(serial) == 40 and int(serial, 16) >= 0 for serial in found)
