"""What is packed comes out again, in pieces or whole, whatever the kind; what is no stream is told from what is."""

import io
import lzma
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.packing import BZIP2, GZIP, PACKINGS, XZ, ZSTD, packing_of
from mtls_ambassador.image.pieces import in_threads, pieces
from mtls_ambassador.image.unpack import Packing, unpacked
from mtls_ambassador.model.errors import AmbassadorError

HEADS = {GZIP: b"\x1f\x8b\x08" + bytes(7), XZ: b"\xfd7zXZ\0\0\4", ZSTD: b"\x28\xb5\x2f\xfd", BZIP2: b"BZh1"}
"""The first bytes of a file that was packed before."""
CHUNKS = st.lists(st.one_of(st.binary(max_size=99), st.integers(0, 5_000_000).map(bytes)), max_size=4)
each = pytest.mark.parametrize("packing", PACKINGS, ids=["gzip", "xz", "zstd", "bzip2"])


def packed(packing: Packing, chunks: list[bytes]) -> bytes:
    return b"".join(packing.packed(chunks, HEADS[packing]))


@given(chunks=CHUNKS, packing=st.sampled_from(PACKINGS))
def test_the_same_comes_out(chunks: list[bytes], packing: Packing) -> None:
    found = list(unpacked(packing, io.BytesIO(packed(packing, chunks))))
    assert b"".join(found) == b"".join(chunks)
    assert all(0 < len(chunk) <= 1 << 20 for chunk in found)


@each
def test_streams_one_after_the_other_and_zeros_at_the_end(packing: Packing) -> None:
    data = packed(packing, [b"one"]) + packed(packing, [b"two"]) + bytes(7)
    assert b"".join(unpacked(packing, io.BytesIO(data))) == b"onetwo"


@each
def test_every_cut_is_noticed(packing: Packing) -> None:
    data = packed(packing, [b"some content" * 9])
    for length in range(len(HEADS[packing]), len(data)):
        with pytest.raises(AmbassadorError, match=r"cut off|damaged|behind its end"):
            list(unpacked(packing, io.BytesIO(data[:length])))


@each
def test_its_kind_is_told_by_its_first_bytes(packing: Packing) -> None:
    assert packing_of(packed(packing, [b"x"])) is packing


def test_a_disk_is_of_no_kind() -> None:
    assert packing_of(b"\xeb\x3c\x90mkfs.fat" + bytes(500)) is None
    assert packing_of(b"") is None


def test_a_skippable_frame_is_zstandard() -> None:
    data = bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"size" + packed(ZSTD, [b"x"])
    assert packing_of(data) is ZSTD
    assert b"".join(unpacked(ZSTD, io.BytesIO(data))) == b"x"


def test_a_dictionary_of_four_gigabytes_is_refused() -> None:
    data = bytearray(lzma.compress(b"x" * 99))
    begin, end = 12, 12 + 4 * data[12]  # of the block's header, behind which its CRC32 is (xz-file-format.txt, 3.1)
    assert data[begin + 2 : begin + 4] == b"\x21\x01"  # LZMA2, with one byte that says the size
    data[begin + 4] = 40
    data[end : end + 4] = zlib.crc32(data[begin:end]).to_bytes(4, "little")
    with pytest.raises(AmbassadorError, match=r"takes too much memory: .*; pack it anew with a smaller dictionary"):
        list(unpacked(XZ, io.BytesIO(data)))


def test_gzip_keeps_name_time_and_effort() -> None:
    head = bytes.fromhex("1f8b081c") + b"time\x02\x03" + b"\x03\x00abc" + b"golden.img\0comment\0"
    assert b"".join(GZIP.packed([b"x"], head)).startswith(bytes.fromhex("1f8b0808") + b"time\x02\x03golden.img\0")


@given(chunks=st.lists(st.binary(max_size=9)), size=st.integers(1, 8))
def test_pieces_are_of_one_size(chunks: list[bytes], size: int) -> None:
    found = list(pieces(chunks, size))
    assert b"".join(found) == b"".join(chunks)
    assert all(len(piece) == size for piece in found[:-1])


def test_in_threads_keeps_the_order_takes_few_at_a_time_and_zeros_once() -> None:
    taken, worked = [0], []

    def parts() -> Iterator[bytes]:
        for number in range(40):
            taken[0] += 1
            yield bytes(2) if number % 2 else bytes([number, 1])

    def work(part: bytes) -> bytes:
        worked.append(part)
        return part

    done = 0
    for number, found in enumerate(in_threads(work, parts(), 2)):
        done += 1
        assert found == (bytes(2) if number % 2 else bytes([number, 1]))
        assert taken[0] - done <= 5
    assert (done, worked.count(bytes(2))) == (40, 1)


def test_an_error_in_a_thread_comes_through() -> None:
    def refuse(part: bytes) -> bytes:
        raise AmbassadorError(part.decode())

    with pytest.raises(AmbassadorError, match="a"):
        list(in_threads(refuse, [b"a", b"b"], 1))
