"""The root file system in a Mender artifact; all but what must change with it is kept."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from copy import copy
from typing import BinaryIO

from mtls_ambassador.image.artifact_parts import (
    SIGNATURE,
    TYPE_INFO,
    Member,
    Parts,
    read_parts,
)
from mtls_ambassador.image.artifact_payload import PAYLOAD, payload, payload_head, payload_info
from mtls_ambassador.image.digest import sha256_of
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.packing import packing_of

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_USTAR_MOST = 8 << 30
"""Bytes of a file, beyond which the older format of tar cannot say its size."""
_CHECKSUMS = ("rootfs-image.checksum", "rootfs_image_checksum")
"""What the artifact provides, as the device compares it with what a delta needs; the second is the older name."""
_UNSIGNED = (
    "its signature was of the old content, and is left out: sign it again, mender-artifact sign ARTIFACT -k PRIVATE_KEY"
)


def is_artifact(head: bytes) -> bool:
    """Whether a file begins as artifacts do: a tar whose first member is `version`."""
    return head.startswith(b"version\0") and head[257:262] == b"ustar"


class Artifact:
    """A payload of the kind rootfs-image, format version 3."""

    is_rootfs = True

    def unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        """The file system."""
        return payload(file, read_parts(file))

    def refuse_pack(self, file: BinaryIO) -> None:
        """What does not fit is left out, or made anew."""

    def pack(self, file: BinaryIO, raw: RawFile, chunks: Iterable[bytes], out: BinaryIO) -> list[str]:
        """Write the artifact anew, with the checksums of the new payload, as `mender-artifact` does; unsigned."""
        parts = read_parts(file)
        info = payload_info(file, parts)
        checksum = sha256_of(raw).hex()
        header = _packed_header(parts, checksum)
        sums = {f"{PAYLOAD}{info.name}": checksum, header.info.name: hashlib.sha256(header.content).hexdigest()}
        manifest = "".join(f"{sums.get(name, known)}  {name}\n" for name, known in parts.checksums.items()).encode()
        for member in parts.small:
            if member.info.name != SIGNATURE:
                changed = {"manifest": manifest, header.info.name: header.content}
                _add(out, member.info, [changed.get(member.info.name, member.content)])
        _add(out, parts.data, _packed(_payload_tar(info, raw.size, chunks), payload_head(file, parts)))
        out.write(_END)
        return [_UNSIGNED] if any(member.info.name == SIGNATURE for member in parts.small) else []


def _packed_header(parts: Parts, checksum: str) -> Member:
    """The header with the payload's new checksum, compressed as it was."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as new:
        for member in parts.header:
            content = _type_info(member.content, checksum) if member.info.name == TYPE_INFO else member.content
            info = copy(member.info)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    old = parts.packed_header()
    return Member(old.info, b"".join(_packed([tar.getvalue()], old.content)))


def _type_info(content: bytes, checksum: str) -> bytes:
    facts = json.loads(content)
    provides = facts.get("artifact_provides") or {}
    for name in _CHECKSUMS:
        if name in provides:
            provides[name] = checksum
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()


def _payload_tar(info: tarfile.TarInfo, size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield _tar_header(info, size)
    yield from chunks
    yield bytes(-size % _BLOCK) + _END


def _packed(chunks: Iterable[bytes], head: bytes) -> Iterable[bytes]:
    packing = packing_of(head)
    return packing.packed(chunks, head) if packing else chunks


def _add(out: BinaryIO, info: tarfile.TarInfo, chunks: Iterable[bytes]) -> None:
    """Append a member whose size is known at its end only."""
    start = out.tell()
    out.write(bytes(_BLOCK))
    out.writelines(chunks)
    size = out.tell() - start - _BLOCK
    out.write(bytes(-size % _BLOCK))
    end = out.tell()
    out.seek(start)
    out.write(_tar_header(info, size))
    out.seek(end)


def _tar_header(info: tarfile.TarInfo, size: int) -> bytes:
    """One block."""
    info = copy(info)
    info.size, info.pax_headers = size, {}
    return info.tobuf(tarfile.USTAR_FORMAT if size < _USTAR_MOST else tarfile.GNU_FORMAT)
