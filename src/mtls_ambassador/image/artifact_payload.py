"""The payload of a Mender artifact: a compressed tar with one file, the file system."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from mtls_ambassador.image.artifact_parts import Parts, compare
from mtls_ambassador.image.packing import HEAD, packing_of
from mtls_ambassador.image.unpack import CHUNK, unpacked
from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from typing_extensions import Buffer

PAYLOAD = "data/0000/"
"""Before its name in the manifest."""
_MAGIC = 16


class _Stream(io.RawIOBase):
    """Chunks, none of them empty, as tarfile reads a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._held = chunks, memoryview(b"")

    def readinto(self, buffer: "Buffer") -> int:
        if not self._held:
            self._held = memoryview(next(self._chunks, b""))
        target = memoryview(buffer)
        count = min(len(target), len(self._held))
        target[:count], self._held = self._held[:count], self._held[count:]
        return count


def payload(file: BinaryIO, parts: Parts) -> Iterator[bytes]:
    """The file system. Raises AmbassadorError, at its end at last, when it is not what the manifest says."""
    digest = hashlib.sha256()
    try:
        with _opened_payload(file, parts) as (tar, info):
            content = tar.extractfile(info)
            while content is not None and (chunk := content.read(CHUNK)):
                digest.update(chunk)
                yield chunk
            if tar.next() is not None:
                raise AmbassadorError("is a Mender artifact with more than one file in its payload")
    except (tarfile.TarError, EOFError) as error:
        raise AmbassadorError(f"is a Mender artifact whose payload is damaged or cut off: {error}") from error
    name = f"{PAYLOAD}{info.name}"
    compare(parts, name, digest.hexdigest())
    if others := set(parts.checksums) - {name, *(member.info.name for member in parts.small)}:
        raise AmbassadorError(f"is a Mender artifact that is damaged: {min(others)} is not in it")


@contextmanager
def _opened_payload(file: BinaryIO, parts: Parts) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The payload's tar and the first file in it."""
    with tarfile.open(fileobj=file, mode="r:") as outer:
        source = outer.extractfile(parts.data)
        if source is None:
            raise AmbassadorError(f"is a Mender artifact whose {parts.data.name} is no file")
        packing = packing_of(source.read(_MAGIC))
        source.seek(0)
        chunks = unpacked(packing, cast("BinaryIO", source)) if packing else iter(lambda: source.read(CHUNK), b"")
        with tarfile.open(fileobj=_Stream(chunks), mode="r|", bufsize=CHUNK) as inner:
            info = inner.next()
            if info is None or not info.isfile():
                raise AmbassadorError("is a Mender artifact with no file in its payload")
            yield inner, info
        for _ in chunks:  # to its end, where its checksum is
            pass


def payload_info(file: BinaryIO, parts: Parts) -> tarfile.TarInfo:
    """What the payload's tar says of the file system."""
    with _opened_payload(file, parts) as (_, info):
        return info


def payload_head(file: BinaryIO, parts: Parts) -> bytes:
    """The first bytes of the payload's tar, which tell how it was packed."""
    file.seek(parts.data.offset_data)
    return file.read(min(HEAD, parts.data.size))
