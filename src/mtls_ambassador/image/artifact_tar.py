"""The tars in a Mender artifact: what is in them, found without taking more of them into memory than is reasonable."""

import tarfile
from io import BytesIO
from typing import BinaryIO, cast

from mtls_ambassador.model.errors import AmbassadorError

MOST_HEADERS = 1 << 18
"""Bytes of all headers of a tar: enough for hundreds of files."""
_MOST_AT_ONCE = 1 << 14
"""Bytes of one header: tarfile by itself takes names and more of any length, and searches them in quadratic time."""
FAULTS = (tarfile.TarError, EOFError, ValueError, RecursionError)
"""What tarfile raises for a tar that is damaged."""


class _Headers:
    """A tar as tarfile looks through it: its headers are read, contents are skipped."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, MOST_HEADERS
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0 or size > _MOST_AT_ONCE:
            raise AmbassadorError("is a Mender artifact with a tar whose headers have no reasonable size")
        return self._file.read(size)


def members(file: BinaryIO) -> tuple[list[tarfile.TarInfo], int]:
    """The files in a tar, from where `file` stands, and where they end.

    Raises AmbassadorError for what is no file, or one with holes, whose content is not there as it is; and FAULTS.
    """
    with _opened(file) as tar:
        return [_plain(info) for info in tar], tar.offset


def first_member(begin: bytes) -> tarfile.TarInfo:
    """The first file in a tar, of which `MOST_HEADERS` bytes are given, or all. Raises as `members`."""
    with _opened(BytesIO(begin)) as tar:
        info = tar.next()
    if info is None:
        raise AmbassadorError("is a Mender artifact with no file in its payload")
    return _plain(info)


def _opened(file: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast("BinaryIO", _Headers(file)), mode="r:")


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    if not info.isreg() or info.issparse() or info.size < 0:
        raise AmbassadorError(f"is a Mender artifact whose {info.name} is no file, or one with holes")
    return info
