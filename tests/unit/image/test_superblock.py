"""What a file system says of itself: read whatever it says, and written to only when all of it allows that."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.superblock import Ext, Fat, OtherSystem, probe
from support.tables import Memory

CLEAN = 1


def ext(
    *, bits: tuple[int, int, int] = (0, 0, 0), state: int = CLEAN, orphan: int = 0, journal: int = 8, label: bytes = b""
) -> Ext:
    """An ext of 1024 blocks of 2 KiB with these features (compatible, incompatible, read-only compatible)."""
    block = bytearray(1024)
    fields = ((4, 1024), (0x18, 1), (0xE0, journal), (0xE8, orphan), (0x5C, bits[0]), (0x60, bits[1]), (0x64, bits[2]))
    for offset, value in fields:
        struct.pack_into("<I", block, offset, value)
    struct.pack_into("<HH", block, 0x38, 0xEF53, state)
    block[0x78 : 0x78 + len(label)] = label
    found = probe(Memory(bytes(1024) + bytes(block)))
    assert isinstance(found, Ext)
    return found


def fat(kind: str, *, label: bytes = b"NO NAME    ", state: int = 0, sectors: int = 2880) -> Memory:
    """A boot sector."""
    sector = bytearray(512)
    struct.pack_into("<H", sector, 11, 512)
    struct.pack_into("<H" if sectors < 1 << 16 else "<I", sector, 19 if sectors < 1 << 16 else 32, sectors)
    at = 65 if kind == "FAT32" else 37
    sector[at] = state
    sector[at + 6 : at + 17] = label
    sector[at + 17 : at + 25] = kind.encode().ljust(8)
    sector[510:] = b"\x55\xaa"
    return Memory(bytes(sector))


@pytest.mark.parametrize(
    ("bits", "kind"),
    [
        ((0, 0x2, 0), "ext2"),
        ((0x4, 0x2, 0), "ext3"),
        ((0x4, 0x40, 0), "ext4"),
        ((0, 0x80, 0), "ext4"),
        ((0, 0x8000, 0), "ext4"),
        ((0, 0, 0x200), "ext4"),
        ((0, 0, 0x400), "ext4"),
    ],
)
def test_the_kind_of_ext_by_its_features(bits: tuple[int, int, int], kind: str) -> None:
    found = ext(bits=bits, label=b"data")
    assert (found.type, found.label, found.block_size, found.size) == (kind, "data", 2048, 2 << 20)
    assert found.write_fault() == ""


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (ext(bits=(4, 4, 0)), "was not unmounted: its journal must be replayed first"),
        (ext(state=0), "is marked as not clean: let e2fsck repair it first"),
        (ext(state=2), "is marked as not clean"),
        (ext(state=3), "is marked as not clean"),
        (ext(state=5), "is marked as not clean"),
        (ext(orphan=12), "is marked as not clean"),
        (ext(bits=(0, 0, 0x10000)), "is marked as not clean"),
        (ext(bits=(4, 0, 0), journal=0), "has its journal on another device"),
        (ext(bits=(0, 0x100, 0)), "has the feature mmp: only a mounted kernel keeps it right"),
        (ext(bits=(0, 0, 0x100)), "has the feature quota: only a mounted kernel keeps it right"),
        (ext(bits=(0, 0, 0x2000)), "has the feature project: only a mounted kernel keeps it right"),
        (ext(bits=(0, 0, 0x4000)), "has the feature shared_blocks: its files share blocks"),
        (ext(bits=(0, 0, 0x1000)), "has the feature read-only: it says that it is never to be written to"),
    ],
)
def test_an_ext_that_must_not_be_written_to_says_why(found: Ext, fault: str) -> None:
    assert fault in found.write_fault()


def test_features_are_told_as_numbers_for_a_newer_e2fsprogs() -> None:
    assert ext(bits=(0x10, 0x40000040, 0x80000000)).feature_bits == (
        "compat 0x10, incompat 0x40000040, ro_compat 0x80000000"
    )


@pytest.mark.parametrize(
    ("label", "shown"), [(b"a\x1b[31m\nb", "a?[31m?b"), (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2)]
)
def test_labels_steer_no_terminal(label: bytes, shown: str) -> None:
    assert ext(label=label).label == shown


@pytest.mark.parametrize("kind", ["FAT12", "FAT16", "FAT32"])
def test_fat_and_its_dirty_bit(kind: str) -> None:
    found = probe(fat(kind, label=b"BOOT       "))
    assert found == Fat("BOOT", 2880 * 512, is_dirty=False)
    assert found.write_fault() == ""
    dirty = probe(fat(kind, state=1))
    assert isinstance(dirty, Fat)
    assert (dirty.label, dirty.is_dirty) == ("", True)
    assert "was not unmounted (dirty bit): let fsck.vfat repair it first" in dirty.write_fault()


def test_a_large_fat_counts_its_sectors_in_32_bits() -> None:
    found = probe(fat("FAT32", sectors=1 << 20))
    assert found is not None
    assert found.size == 512 << 20


@pytest.mark.parametrize(
    ("offset", "magic", "name"),
    [
        (0, b"hsqs", "squashfs"),
        (0, b"XFSB", "xfs"),
        (65600, b"_BHRfS_M", "btrfs"),
        (1024, b"\x10\x20\xf5\xf2", "f2fs"),
        (0, b"LUKS\xba\xbe", "LUKS"),
        (4086, b"SWAPSPACE2", "swap"),
        (1080, b"\x53\xef" + bytes(38) + b"\x08", "a journal"),
    ],
)
def test_others_are_named_and_not_written_to(offset: int, magic: bytes, name: str) -> None:
    found = probe(Memory(bytes(offset) + magic + bytes(70_000)))
    assert found == OtherSystem(name)
    assert found.write_fault() == f"is {name}; only ext2, ext3, ext4 and FAT can be read and changed"


@pytest.mark.parametrize("data", [b"", bytes(512), bytes(1080) + b"\x53\xef", bytes(510) + b"\x55\xaa"])
def test_nothing_known(data: bytes) -> None:
    assert probe(Memory(data)) is None


@given(st.sampled_from([b"\x53\xef", b"FAT16", b"FAT32", b"hsqs"]), st.binary(max_size=3000), st.integers(0, 1100))
def test_any_bytes_have_an_answer(magic: bytes, data: bytes, at: int) -> None:
    given_bytes = bytearray(data.ljust(510, b"\0"))
    for place, piece in ((1080, b"\x53\xef"), (510, b"\x55\xaa"), (at, magic)):
        if place + len(piece) <= len(given_bytes):
            given_bytes[place : place + len(piece)] = piece
    found = probe(Memory(bytes(given_bytes)))
    assert found is None or isinstance(found.write_fault(), str)
