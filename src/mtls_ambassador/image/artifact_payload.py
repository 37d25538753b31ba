"""The payload of a Mender artifact: a compressed tar with one file, the file system."""

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import BinaryIO, cast

from mtls_ambassador.image.artifact_parts import Parts, compare
from mtls_ambassador.image.artifact_tar import FAULTS, MOST_HEADERS, first_member
from mtls_ambassador.image.packing import HEAD, packing_of
from mtls_ambassador.image.unpack import CHUNK, unpacked
from mtls_ambassador.model.errors import AmbassadorError

PAYLOAD = "data/0000/"
"""Before its name in the manifest."""
_MAGIC = 16


def payload(file: BinaryIO, parts: Parts) -> Iterator[bytes]:
    """The file system. Raises AmbassadorError, at its end at last, when it is not what the manifest says."""
    digest = hashlib.sha256()
    with _opened_payload(file, parts) as (info, content):
        for chunk in content:
            digest.update(chunk)
            yield chunk
    name = f"{PAYLOAD}{info.name}"
    compare(parts, name, digest.hexdigest())
    if others := set(parts.checksums) - {name, *(member.info.name for member in parts.small)}:
        raise AmbassadorError(f"is a Mender artifact that is damaged: {min(others)} is not in it")


@contextmanager
def _opened_payload(file: BinaryIO, parts: Parts) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    """The file in the payload's tar, and its content."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as outer:
            source = cast("BinaryIO", outer.extractfile(parts.data))  # a file: that was seen to
            packing = packing_of(source.read(_MAGIC))
            source.seek(0)
            chunks = unpacked(packing, source) if packing else iter(lambda: source.read(CHUNK), b"")
            begin = b""
            while len(begin) < MOST_HEADERS and (chunk := next(chunks, b"")):
                begin += chunk
            info = first_member(begin[:MOST_HEADERS])
            yield info, _content(info, chain([begin[info.offset_data :]], chunks))
    except FAULTS as error:
        raise AmbassadorError(f"is a Mender artifact whose payload is damaged or cut off: {error}") from error


def _content(info: tarfile.TarInfo, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Of what comes behind a tar's first header, as much as is of the file; the rest is to be empty."""
    left = info.size
    for chunk in chunks:
        if content := chunk[:left]:
            left -= len(content)
            yield content
        if chunk[len(content) :].strip(b"\0"):
            raise AmbassadorError("is a Mender artifact with more than one file in its payload")
    if left:
        raise EOFError(f"{left} bytes of {info.name} are missing")


def payload_info(file: BinaryIO, parts: Parts) -> tarfile.TarInfo:
    """What the payload's tar says of the file system."""
    with _opened_payload(file, parts) as (info, _):
        return info


def payload_head(file: BinaryIO, parts: Parts) -> bytes:
    """The first bytes of the payload's tar, which tell how it was packed."""
    file.seek(parts.data.offset_data)
    return file.read(min(HEAD, parts.data.size))
