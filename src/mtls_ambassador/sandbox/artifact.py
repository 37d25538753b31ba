"""Reads what a server must know of a Mender artifact, format version 3 (mender-artifact `artifact-format-v3.md`).

The file is a tar: `version`, `manifest`, perhaps `manifest.sig`, then `header.tar.gz` (or `.xz`, or plain) whose first
member `header-info` names the artifact and the device types. The payload after it is not looked at.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAX_HEADER = 1_048_576
"""Bytes of a version file, header or header-info; real ones have a few hundred."""
MEMBERS_BEFORE_HEADER = 5


class ArtifactError(Exception):
    """The file is not an artifact this sandbox can read; the text says why."""


@dataclass(frozen=True, slots=True)
class ArtifactInfo:
    """What an artifact says of itself."""

    name: str
    device_types: tuple[str, ...]
    provides: tuple[tuple[str, str], ...]
    payload_types: tuple[str, ...]


def read_artifact(path: Path) -> ArtifactInfo:
    """Name, compatible device types and payload types of an artifact file; raises ArtifactError."""
    try:
        with tarfile.open(path, "r:") as tar:
            version, header = _version_and_header(tar)
            if version.get("format") != "mender" or version.get("version") != 3:  # noqa: PLR2004 - the format read
                raise ArtifactError("not a Mender artifact of format version 3")
            return _info(header)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtifactError(f"not a Mender artifact: {error}") from error


def _version_and_header(tar: tarfile.TarFile) -> tuple[dict[str, object], dict[str, object]]:
    version = None
    for number, member in enumerate(tar):
        if member.name == "version":
            version = _json(_read(tar, member), "version")
        elif member.name.startswith("header.tar"):
            if version is None:
                raise ArtifactError("no version before the header")
            return version, _header_info(_open(tar, member))
        if number >= MEMBERS_BEFORE_HEADER:
            break
    raise ArtifactError("no header found")


def _header_info(header: IO[bytes]) -> dict[str, object]:
    with tarfile.open(fileobj=header, mode="r:*") as tar:
        for member in tar:
            if member.name == "header-info":
                return _json(_read(tar, member), "header-info")
            break
    raise ArtifactError("the header does not begin with header-info")


def _info(header: dict[str, object]) -> ArtifactInfo:
    provides, depends = header.get("artifact_provides"), header.get("artifact_depends")
    if not isinstance(provides, dict) or not isinstance(depends, dict):
        raise ArtifactError("header-info lacks artifact_provides or artifact_depends")
    name, types = provides.get("artifact_name"), depends.get("device_type")
    if not isinstance(name, str) or not name:
        raise ArtifactError("header-info has no artifact_name")
    device_types = tuple(_texts(types))
    if not device_types:
        raise ArtifactError("header-info has no device_type")
    payloads = header.get("payloads")
    kinds = [p.get("type") for p in payloads if isinstance(p, dict)] if isinstance(payloads, list) else []
    return ArtifactInfo(
        name,
        device_types,
        tuple(sorted((str(k), str(v)) for k, v in provides.items())),
        tuple(_texts(kinds)),
    )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    if file is None or member.size > MAX_HEADER:
        raise ArtifactError(f"{member.name} is not a file of reasonable size")
    return file


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    return _open(tar, member).read(MAX_HEADER)


def _json(data: bytes, what: str) -> dict[str, object]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{what} is not JSON") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{what} is not a JSON object")
    return value
