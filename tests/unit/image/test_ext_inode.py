"""An inode's fields hold what they are given, as far as there is room, and nothing else changes."""

import ctypes
import stat
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.image.entry import Attributes, Kind
from mtls_ambassador.image.ext_inode import SIZE, InodeData

_OWNERS = st.integers(0, 2**32 - 1)
_FIRST, _LAST = -(2**31), 2**34 - 2**31 - 1
"""Times that an inode of 256 bytes can hold (Documentation/filesystems/ext4/inodes.rst in Linux)."""


def inode(extra: int, filler: int = 0xFF) -> InodeData:
    """One with so many bytes behind the first 128, all others set."""
    data = InodeData()
    ctypes.memset(data.buffer, filler, SIZE)
    struct.pack_into("<H", data.buffer, 128, extra)
    return data


@given(mode=st.integers(0, 0o7777), uid=_OWNERS, gid=_OWNERS, mtime=st.integers(_FIRST, _LAST))
def test_large_inodes_hold_all(mode: int, uid: int, gid: int, mtime: int) -> None:
    data = inode(extra=32)
    data.set_attributes(stat.S_IFREG, Attributes(mode, uid, gid, mtime))
    assert (data.kind, data.mode, data.uid, data.gid, data.mtime) == (Kind.FILE, mode, uid, gid, mtime)


@given(mtime=st.integers(_FIRST, _LAST), extra=st.integers(0, 7))
def test_small_inodes_hold_times_until_2038(mtime: int, extra: int) -> None:
    data = inode(extra)
    data.set_attributes(stat.S_IFDIR, Attributes(0o755, 0, 0, mtime))
    assert data.mtime == min(mtime, 2**31 - 1)
    assert data.buffer.raw[130:] == b"\xff" * (SIZE - 130)


def test_the_change_of_a_name_is_none_of_content() -> None:
    data = inode(extra=32)
    data.touch(1000)
    data.touch_inode(2000)
    assert data.mtime == 1000


@given(size=st.integers(0, 2**48))
def test_sizes_have_64_bits(size: int) -> None:
    data = InodeData()
    data.make(stat.S_IFREG, Attributes(0o600, 0, 0, 0), size, 0)
    assert data.size == size


@pytest.mark.parametrize("now", [0, 1, 1 << 20])
def test_a_deleted_inode_is_no_orphan(now: int) -> None:
    """Whose number e2fsck looks for in that place, as long as it is small."""
    data = inode(extra=32)
    data.bury(now)
    assert data.links == 0
    assert int.from_bytes(data.buffer.raw[20:24], "little") >= 1 << 28
