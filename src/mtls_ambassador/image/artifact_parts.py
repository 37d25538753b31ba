"""Reads a Mender artifact with a root file system, format version 3 (mender-artifact `artifact-format-v3.md`).

The file is a tar: `version`, `manifest` (checksums), perhaps `manifest.sig`, a header that is a compressed tar, and
`data/0000.tar`, compressed too, with the file system in it.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from mtls_ambassador.image.artifact_tar import FAULTS, members
from mtls_ambassador.image.packing import packing_of
from mtls_ambassador.image.unpack import unpacked
from mtls_ambassador.model.errors import AmbassadorError

TYPE_INFO = "headers/0000/type-info"
SIGNATURE = "manifest.sig"
_CHUNK = 1 << 20
_MOST = 64 << 20
"""Bytes of what is kept in memory: the header with its scripts."""
_ROOTFS = "rootfs-image"
_FORMAT = {"format": "mender", "version": 3}


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a tar."""

    info: tarfile.TarInfo
    content: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """All of an artifact but the payload's content."""

    small: tuple[Member, ...]
    """Before the payload: version, manifest, perhaps signature, header."""
    header: tuple[Member, ...]
    """What is in the header."""
    checksums: dict[str, str]
    """The manifest."""
    data: tarfile.TarInfo
    """Where the payload's tar is."""

    def packed_header(self) -> Member:
        """The header as it is in the file."""
        return next(member for member in self.small if member.info.name.startswith("header.tar"))


def read_parts(file: BinaryIO) -> Parts:
    """Read and check all but the payload. Raises AmbassadorError for what is no such artifact, or another kind."""
    file.seek(0)
    try:
        parts = _read_parts(file)
    except FAULTS as error:
        raise AmbassadorError(f"is a Mender artifact that is damaged or cut off: {error}") from error
    for member in (parts.small[0], parts.packed_header()):
        compare(parts, member.info.name, hashlib.sha256(member.content).hexdigest())
    _refuse_other_kinds(parts)
    return parts


def _read_parts(file: BinaryIO) -> Parts:
    found, end = members(file)
    file.seek(end)
    if any(chunk.strip(b"\0") for chunk in iter(lambda: file.read(_CHUNK), b"")):
        raise AmbassadorError("is a Mender artifact with something behind its end which would be lost; is it damaged?")
    data = [info for info in found if info.name.startswith("data/")]
    small = {member.info.name: member for member in _contents(file, [info for info in found if info not in data])}
    if _json(small["version"].content, "version") != _FORMAT:
        raise AmbassadorError("is a Mender artifact, but not of format version 3")
    if any("augment" in name for name in small):
        raise AmbassadorError("is a Mender artifact with an augmented payload, such as a delta; it must be a whole one")
    headers = [name for name in small if name.startswith("header.tar")]
    if len(data) != 1 or len(headers) != 1 or "manifest" not in small:
        raise AmbassadorError("is a Mender artifact with more or less in it than a manifest, a header and a payload")
    header, manifest = _header(small[headers[0]].content), _manifest(small["manifest"].content)
    return Parts(tuple(small.values()), header, manifest, data[0])


def _contents(file: BinaryIO, infos: list[tarfile.TarInfo]) -> Iterator[Member]:
    if sum(info.size for info in infos) > _MOST:
        raise AmbassadorError("is a Mender artifact with more in it beside the payload than is reasonable")
    for info in infos:
        file.seek(info.offset_data)
        content = file.read(info.size)
        if len(content) < info.size:
            raise EOFError(f"{info.name} ends too early")
        yield Member(info, content)


def _header(content: bytes) -> tuple[Member, ...]:
    packing = packing_of(content)
    plain = bytearray()
    for chunk in unpacked(packing, io.BytesIO(content)) if packing else [content]:
        plain += chunk
        if len(plain) > _MOST:
            raise AmbassadorError("is a Mender artifact with a header of no reasonable size")
    tar = io.BytesIO(plain)
    return tuple(_contents(tar, members(tar)[0]))


def _manifest(content: bytes) -> dict[str, str]:
    lines = (line.split(maxsplit=1) for line in content.decode().splitlines() if line.strip())
    return {name: checksum for checksum, name in lines}


def _refuse_other_kinds(parts: Parts) -> None:
    known = {member.info.name: member.content for member in parts.header}
    payloads = _json(known.get("header-info", b""), "header-info").get("payloads")
    kinds = [item.get("type") for item in payloads if isinstance(item, dict)] if isinstance(payloads, list) else []
    if kinds != [_ROOTFS]:
        raise AmbassadorError(
            f"is a Mender artifact with the payload {', '.join(map(str, kinds)) or 'none'};"
            f" only one {_ROOTFS} can be read and changed"
        )
    if not isinstance(_json(known.get(TYPE_INFO, b""), TYPE_INFO).get("artifact_provides") or {}, dict):
        raise AmbassadorError(f"is a Mender artifact whose {TYPE_INFO} says wrongly what it provides")


def compare(parts: Parts, name: str, checksum: str) -> None:
    """Raises AmbassadorError when a part is not what the manifest says."""
    if parts.checksums.get(name) != checksum:
        raise AmbassadorError(f"is a Mender artifact that is damaged: {name} is not what its manifest says")


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AmbassadorError(f"is a Mender artifact whose {name} is no JSON") from error
    if not isinstance(value, dict):
        raise AmbassadorError(f"is a Mender artifact whose {name} is no JSON object")
    return value
