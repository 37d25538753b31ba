"""An image in a zip archive; all else in the archive is kept."""

import lzma
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import BinaryIO

from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.model.errors import AmbassadorError

MAGIC = b"PK\3\4"
_CHUNK = 1 << 20
_HEAD = 2048
_ENCRYPTED = 0x1
_END = b"PK\5\6"
_END_SIZE = 22
_BIG = 1 << 31
"""Bytes from which on sizes take more room in the archive."""
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError, ValueError)


class Zipped:
    """The one member of an archive that begins as a disk or a file system does."""

    is_rootfs = False

    def unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        """The image. Raises AmbassadorError when there is none, or more than one, or the archive is not whole."""
        with _telling(), zipfile.ZipFile(file) as archive:
            _refuse_others(archive, file)
            with archive.open(_image(archive)) as member:
                while chunk := member.read(_CHUNK):
                    yield chunk

    def refuse_pack(self, file: BinaryIO) -> None:
        """Raises AmbassadorError when there is a block map in the archive."""
        with _telling(), zipfile.ZipFile(file) as archive:
            maps = [name for name in archive.namelist() if name.endswith(".bmap")]
        if maps:
            raise AmbassadorError(f"has {maps[0]} in it, which would no longer fit; take it out: zip -d")

    def pack(self, file: BinaryIO, raw: RawFile, chunks: Iterable[bytes], out: BinaryIO) -> list[str]:
        """Write the archive anew with another image in it."""
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
            new.comment = old.comment
            image = _image(old)
            for item in old.infolist():
                size = raw.size if item is image else item.file_size
                with old.open(item) as source, new.open(copy(item), "w", force_zip64=size >= _BIG) as target:
                    if item is image:
                        for chunk in chunks:
                            target.write(chunk)
                    else:
                        shutil.copyfileobj(source, target, _CHUNK)
        return []


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:
        raise AmbassadorError(f"cannot be read: {error}; pack it by deflate") from error
    except _DAMAGED as error:
        raise AmbassadorError(f"is damaged or cut off: {error}") from error


def _refuse_others(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Raises AmbassadorError for what cannot be read, and for what would be lost when the archive is written anew."""
    encrypted = [item.filename for item in archive.infolist() if item.flag_bits & _ENCRYPTED]
    if encrypted:
        raise AmbassadorError(f"has members that are encrypted: {_listed(encrypted)}")
    if any(item.compress_type == zipfile.ZIP_LZMA for item in archive.infolist()):
        raise AmbassadorError("has members packed by LZMA, which may take 4 GiB of memory; pack them by deflate")
    size = _END_SIZE + len(archive.comment)
    file.seek(-size, 2)
    if file.read(len(_END)) != _END:
        raise AmbassadorError("has something behind its end which would be lost; is it damaged?")


def _image(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [item for item in archive.infolist() if not item.is_dir()]
    found = [item for item in members if _is_image(archive, item)]
    if len(found) != 1:
        names = _listed([item.filename for item in found or members])
        what = "more than one disk image" if found else "no disk image"
        raise AmbassadorError(f"has {what} in it: {names}")
    return found[0]


def _is_image(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> bool:
    """Whether it begins with a partition table, FAT, or ext2 to ext4."""
    with archive.open(item) as member:
        head = member.read(_HEAD)
    return head[510:512] == b"\x55\xaa" or head[1080:1082] == b"\x53\xef"


def _listed(names: list[str]) -> str:
    few = 5
    return ", ".join(names[:few]) + (f" and {len(names) - few} more" if len(names) > few else "") or "it is empty"
