"""Partition tables: what Linux sees, or what is wrong with them; nothing else, and never for long."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.partition_table import Partition, Table, read_table
from mtls_ambassador.model.errors import AmbassadorError
from support.tables import LINUX_DATA, Gpt, Memory, disk, entry, mbr

EXTENDED = (3, mbr(entry(0x83, 1, 2), entry(0x05, 4, 3))), (7, mbr(entry(0x83, 1, 2)))
"""Two logical partitions of two sectors each, in an extended one from sector 3 on."""


def places(table: Table) -> list[tuple[int, int, int]]:
    """Number, first sector and count of sectors of each partition."""
    return [(item.number, item.start // 512, item.size // 512) for item in table.partitions]


def test_primary_partitions_have_the_number_of_their_line() -> None:
    table = read_table(disk(9, (0, mbr(entry(0x0C, 1, 2, boot=0x80), entry(0, 0, 0), entry(0x83, 4, 5)))))
    assert (table.kind, places(table), table.faults) == ("mbr", [(1, 1, 2), (3, 4, 5)], ())
    assert [item.type for item in table.partitions] == ["0c", "83"]


@pytest.mark.parametrize("kind", [0x05, 0x0F, 0x85])
def test_logical_partitions_are_numbered_from_5(kind: int) -> None:
    table = read_table(disk(10, (0, mbr(entry(0x83, 1, 2), entry(kind, 3, 7))), *EXTENDED))
    assert (places(table), table.faults) == ([(1, 1, 2), (5, 4, 2), (6, 8, 2)], ())


def test_a_link_of_the_chain_without_a_partition_takes_no_number() -> None:
    empty = (3, mbr(entry(0, 0, 0), entry(0x05, 4, 3)))
    table = read_table(disk(10, (0, mbr(entry(0x05, 3, 7))), empty, EXTENDED[1]))
    assert places(table) == [(5, 8, 2)]


@pytest.mark.parametrize(
    ("chain", "size", "said"),
    [
        ([(3, bytes(512))], 10, "the extended partition is broken: no partition table at byte 1536"),
        ([EXTENDED[0], (7, bytes(512))], 10, "the extended partition is broken: no partition table at byte 3584"),
        ([(3, mbr(entry(0x83, 1, 1), entry(0x05, 9, 3)))], 10, "goes on at byte 6144, behind the image's end"),
        ([EXTENDED[0], (7, mbr(entry(0x83, 1, 2), entry(0x05, 4, 3)))], 10, "leads in a circle"),
        ([EXTENDED[0], (7, mbr(entry(0x83, 1, 2), entry(0x05, 2**32 - 1, 3)))], 10, "behind the image's end"),
    ],
)
def test_a_chain_that_breaks_off_is_a_fault_and_hides_no_primary(
    chain: list[tuple[int, bytes]], size: int, said: str
) -> None:
    table = read_table(disk(size, (0, mbr(entry(0x83, 1, 2), entry(0x05, 3, 7))), *chain))
    assert table.partitions[0] == Partition(1, 512, 1024, "83")
    assert said in table.faults[0]
    assert "partitions behind that are not seen" in table.faults[0]


def test_a_chain_is_followed_for_128_links() -> None:
    def image(links: int) -> Memory:
        chain = [(2 + 2 * n, mbr(entry(0x83, 1, 1), entry(0x05, 2 + 2 * n, 2))) for n in range(links - 1)]
        return disk(2 * links + 2, (0, mbr(entry(0x05, 2, 2 * links))), *chain, (2 * links, mbr(entry(0x83, 1, 1))))

    assert (len(read_table(image(128)).partitions), read_table(image(128)).faults) == (128, ())
    assert "too many partitions" in read_table(image(129)).faults[0]


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        ([(1, 9)], ["partition 1 ends at byte 5120, behind the image's end at 4608: truncated image?"]),
        ([(20, 2)], ["partition 1 ends at byte 11264, behind the image's end at 4608: truncated image?"]),
        ([(1, 4), (4, 2)], ["partitions 1 and 2 overlap"]),
        ([(4, 2), (1, 4)], ["partitions 2 and 1 overlap"]),
        ([(1, 8), (2, 2), (6, 1)], ["partitions 1 and 2 overlap"]),
        ([(1, 4), (5, 4)], []),
    ],
)
def test_partitions_that_cannot_be_right(lines: list[tuple[int, int]], faults: list[str]) -> None:
    assert list(read_table(disk(9, (0, mbr(*(entry(0x83, *line) for line in lines))))).faults) == faults


def test_partitions_over_a_table_are_a_fault() -> None:
    table = read_table(disk(10, (0, mbr(entry(0x83, 1, 3), entry(0x05, 3, 7))), *EXTENDED))
    assert table.faults == ("partition 1 lies over the partition table",)
    for start in (1, 2, 33):
        assert read_table(Gpt([(start, 40, "")]).disk(64)).faults == ("partition 1 lies over the partition table",)
    assert read_table(Gpt([(34, 40, "")]).disk(64)).faults == ()


def test_gpt_partitions_have_names_and_types() -> None:
    table = read_table(Gpt([(34, 35, "rootfs\N{LATIN SMALL LETTER A WITH DIAERESIS}"), (36, 40, "")]).disk(64))
    assert (table.kind, places(table), table.faults) == ("gpt", [(1, 34, 2), (2, 36, 5)], ())
    assert {item.type for item in table.partitions} == {str(LINUX_DATA)}
    assert table.partitions[0].name == "rootfs\N{LATIN SMALL LETTER A WITH DIAERESIS}"


def test_gpt_with_sectors_of_4096_bytes() -> None:
    table = read_table(Gpt([(6, 6, "a"), (7, 8, "b")], sector=4096).disk(80))
    assert (places(table), table.faults) == ([(1, 48, 8), (2, 56, 16)], ())


def test_gpt_decides_in_a_hybrid() -> None:
    table = read_table(Gpt([(34, 35, "a")], hybrid=(entry(0x83, 36, 2),)).disk(64))
    assert (table.kind, places(table)) == ("gpt", [(1, 34, 2)])


def test_gpt_with_larger_entries_and_header_elsewhere() -> None:
    table = read_table(Gpt([(40, 41, "a"), (42, 43, "b")], first=10, count=8, entry_size=256).disk(64))
    assert (places(table), table.faults) == ([(1, 40, 2), (2, 42, 2)], ())


def test_gpt_without_partitions() -> None:
    assert read_table(Gpt([], count=0).disk(64)).partitions == ()


def changed(image: Memory, at: int, byte: int) -> Memory:
    data = bytearray(image.data)
    data[at] ^= byte
    return Memory(bytes(data))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (changed(Gpt([(34, 35, "")]).disk(64), 512 + 40, 1), "the header of the GPT is damaged"),
        (changed(Gpt([(34, 35, "")]).disk(64), 512 + 12, 0xFF), "the header of the GPT is damaged"),
        (changed(Gpt([(34, 35, "")]).disk(64), 1024 + 32, 1), "the entries of the GPT are damaged"),
        (changed(Gpt([(34, 35, "")]).disk(64), 512, 1), "is a GPT, and its header is missing; repair it with gdisk"),
        (disk(1, (0, mbr(entry(0xEE, 1, 63)))), "its header is missing"),
        (Gpt([], count=1025).disk(512), "has 1025 entries of 128 bytes, which cannot be right"),
        (Gpt([], entry_size=64).disk(64), "has 128 entries of 64 bytes, which cannot be right"),
        (Gpt([], first=2**64 - 1).disk(64), "behind the image's end: truncated?"),
        (Gpt([], first=50).disk(64), "behind the image's end: truncated?"),
    ],
)
def test_a_gpt_that_cannot_be_read_says_what_is_wrong(image: Memory, said: str) -> None:
    with pytest.raises(AmbassadorError, match=said):
        read_table(image)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ((35, 34, ""), "partition 1 ends before it begins"),
        ((40, 64, ""), "partition 1 ends at byte 33280, behind the image's end at 32768"),
        ((2**64 - 1, 2**64 - 1, ""), "behind the image's end"),
    ],
)
def test_gpt_partitions_that_cannot_be_right(line: tuple[int, int, str], fault: str) -> None:
    assert fault in read_table(Gpt([line]).disk(64)).faults[0]


@pytest.mark.parametrize(
    "first",
    [
        bytes(512),
        mbr(),
        b"\xeb\x3c\x90" + mbr(entry(0x83, 1, 2))[3:54] + b"FAT16   " + mbr(entry(0x83, 1, 2))[62:],
        b"\xe9\x00\x00" + mbr(entry(0x83, 1, 2))[3:82] + b"FAT32   " + mbr(entry(0x83, 1, 2))[90:],
        mbr(entry(0x83, 0, 5), entry(0x83, 5, 0), entry(0x83, 1, 5, boot=7)),
    ],
)
def test_without_a_table_the_image_is_one_file_system(first: bytes) -> None:
    table = read_table(disk(9, (0, first)))
    assert (table.kind, table.partitions, table.faults) == ("none", (Partition(0, 0, 9 * 512, ""),), ())


def test_what_is_smaller_than_a_sector_is_no_image() -> None:
    with pytest.raises(AmbassadorError, match="is no disk image: it has 511 bytes"):
        read_table(Memory(bytes(511)))


VALID = (
    disk(64, (0, mbr(entry(0x83, 1, 2), entry(0x05, 3, 7))), *EXTENDED),
    Gpt([(34, 35, "a"), (36, 40, "b")]).disk(64),
    Gpt([(6, 6, "a"), (7, 7, "b")], sector=4096).disk(64),
    Gpt([(34, 35, "a")], header_size=100, count=4).disk(64),
)


@given(st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 64 * 512 - 1), st.integers(0, 255)), max_size=8))
def test_whatever_is_changed_only_a_fault_comes_of_it(image: Memory, changes: list[tuple[int, int]]) -> None:
    data = bytearray(image.data)
    for at, byte in changes:
        data[at] = byte
    assert_read(Memory(bytes(data)))


numbers = st.integers(0, 2**64 - 1) | st.integers(0, 100)
small = st.integers(0, 2**32 - 1) | st.integers(0, 5000)


@given(st.lists(st.tuples(numbers, numbers, st.just("x"))), numbers, small, small, st.sampled_from([512, 4096]))
def test_a_gpt_with_right_checksums_may_say_what_it_wants(
    entries: list[tuple[int, int, str]], first: int, count: int, size: int, sector: int
) -> None:
    gpt = Gpt(entries, sector=sector)
    if count * size < 1 << 20:
        gpt = replace(gpt, first=first, count=count, entry_size=size)
    assert_read(gpt.disk(128))


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 255), small, small), max_size=30))
def test_any_chain_of_tables(lines: list[tuple[int, int, int, int]]) -> None:
    tables = {at: [entry(*line) for where, *line in lines if where == at][:4] for at in range(13)}
    assert_read(disk(13, *((at, mbr(*found)) for at, found in tables.items())))


@given(st.binary(max_size=2048))
def test_any_bytes(data: bytes) -> None:
    assert_read(Memory(data))


def assert_read(image: Memory) -> None:
    """Read, or refused; what is without a fault lies inside, apart from others."""
    try:
        table = read_table(image)
    except AmbassadorError:
        return
    assert len(table.partitions) <= 1024
    if not table.faults:
        ends = [0]
        for item in sorted(table.partitions, key=lambda item: item.start):
            assert ends[-1] <= item.start < item.end <= image.size
            ends.append(item.end)
