"""A block map after a change is right for all the blocks it has, and is refused when it is another image's."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.bmap import updated_bmap
from mtls_ambassador.image.bmap_text import Bmap, Span, parse_bmap
from mtls_ambassador.model.errors import AmbassadorError
from support.bmap import SIZE, Memory, image, make_bmap, spans_of

BLOCKS = SIZE // 4096
RANGES = (
    st.lists(st.integers(0, BLOCKS), unique=True, max_size=12)
    .map(sorted)
    .map(lambda edges: [(a, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=False)])
)
CHANGES = st.dictionaries(st.integers(0, BLOCKS - 1), st.binary(min_size=1, max_size=8), max_size=6)
VERSIONS = st.sampled_from(["1.2", "1.3", "1.4", "2.0"])


def blocks_of(text: str) -> set[int]:
    return {block for span in parse_bmap(text).spans for block in range(span.first, span.last + 1)}


@given(ranges=RANGES, changes=CHANGES, written=st.sets(st.integers(0, BLOCKS - 1)), version=VERSIONS)
def test_all_that_changed_is_mapped_with_its_new_checksum(
    ranges: list[tuple[int, int]], changes: dict[int, bytes], written: set[int], version: str
) -> None:
    before = make_bmap(image(), ranges, version)
    pages = {n * 4096: (mark * 4096)[: min(4096, SIZE - n * 4096)] for n, mark in changes.items()}
    after = updated_bmap(before, image(), pages, [n * 4096 for n in written])
    assert blocks_of(after) == blocks_of(before) | set(changes) | written
    new = bytearray(image().data)
    for offset, page in pages.items():
        new[offset : offset + len(page)] = page
    has_checksums = version != "1.2" and bool(ranges)
    for span in parse_bmap(after).spans:
        if has_checksums:
            kind = hashlib.sha1 if version == "1.3" else hashlib.sha256
            assert span.checksum == kind(new[span.first * 4096 : (span.last + 1) * 4096]).hexdigest()
        else:
            assert span.checksum is None


def test_nothing_changed_leaves_the_text_but_for_its_counts() -> None:
    before = make_bmap(image(), [(0, 2), (5, 5)], "2.0")
    assert updated_bmap(before, image(), {}) == before


def test_only_ranges_that_are_touched_are_read() -> None:
    seen = image()
    before = make_bmap(seen, [(0, 2), (5, 9)], "2.0")
    seen.reads.clear()
    updated_bmap(before, seen, {4096: bytes(4096)})
    assert seen.reads
    assert all(offset + length <= 3 * 4096 for offset, length in seen.reads)


def test_the_counts_are_said_as_bmaptool_says_them() -> None:
    after = updated_bmap(make_bmap(image(), [(0, 2)], "2.0"), image(), {8 * 4096: b"x" * 4096})
    assert "<!-- Count of mapped blocks: 16.0 KiB or 23.5%" in after
    assert "<MappedBlocksCount> 4 </MappedBlocksCount>" in after


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace("</bmap>", ""), "cannot be read"),
        (lambda text: text.replace('version="2.0"', 'version="3.0"'), "version 3.0"),
        (lambda text: text.replace("0-2", "0-3"), "contradict"),
        (lambda text: text.replace("sha256", "sha0"), "sha0"),
        (lambda text: text.replace("<BlockSize> 4096", "<BlockSize> 0"), "BlockSize is 0"),
        (lambda text: text.replace("Size of a block", "Bytes of a block"), "its own checksum is wrong"),
        (lambda text: re.sub(r"<BmapFileChecksum>.*?</BmapFileChecksum>", "", text), "BmapFileChecksum"),
        (lambda text: "<!DOCTYPE x>" + text, "no block map"),
        (lambda text: "-----BEGIN PGP SIGNED MESSAGE-----\n" + text, "signed"),
        (lambda _: "", "cannot be read"),
    ],
)
def test_what_is_no_map_is_refused(change: object, why: str) -> None:
    assert callable(change)
    with pytest.raises(AmbassadorError, match=why):
        updated_bmap(change(make_bmap(image(), [(0, 2)], "2.0")), image(), {0: b"x" * 4096})


def test_a_map_of_another_image_is_refused() -> None:
    with pytest.raises(AmbassadorError, match=r"of an image of \d+ bytes"):
        updated_bmap(make_bmap(image(), [(0, 2)], "2.0"), Memory(bytes(4096)), {0: b"x" * 4096})
    other = Memory(bytes(SIZE))
    with pytest.raises(AmbassadorError, match="blocks 0-2 have another checksum"):
        updated_bmap(make_bmap(image(), [(0, 2)], "2.0"), other, {0: b"x" * 4096})


def test_checksums_of_any_length_are_refused() -> None:
    text = make_bmap(image(), [(0, 2)], "2.0").replace("<ChecksumType> sha256", "<ChecksumType> shake_128")
    with pytest.raises(AmbassadorError, match="ChecksumType is 'shake_128', and none of md5, sha1,"):
        parse_bmap(text)


def test_blanks_without_end_take_no_time() -> None:
    """Minutes, if each row of them were tried at each of its places."""
    text = make_bmap(image(), [(0, 2)], "2.0")
    for blanks in (f"<BmapFileChecksum>{' ' * 500_000}<x/> ", f"<BmapFileChecksum>{' ' * 500_000}x{' ' * 500_000}<x/>"):
        with pytest.raises(AmbassadorError, match="BmapFileChecksum is not there once"):
            parse_bmap(text.replace("<BmapFileChecksum> ", blanks))


def test_ranges_that_overlap_are_refused() -> None:
    with pytest.raises(AmbassadorError, match="overlap"):
        parse_bmap(make_bmap(image(), [(0, 2), (2, 3)], "1.2"))


def test_ranges_are_read_as_bmaptool_writes_them() -> None:
    text = make_bmap(image(), [(0, 2), (5, 5)], "1.2")
    assert parse_bmap(text) == Bmap((1, 2), SIZE, 4096, None, (Span(0, 2, None), Span(5, 5, None)))
    assert spans_of(text) == ["0-2", "5"]
