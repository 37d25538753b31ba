"""Artifacts of a few kB that would take gigabytes: refused with a reason. The claims here are small ones."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping

import pytest

from mtls_ambassador.image.artifact import Artifact
from mtls_ambassador.image.artifact_parts import TYPE_INFO
from mtls_ambassador.model.errors import AmbassadorError

ROOTFS = b"root file system" * 100
MIB = 1 << 20


def tar(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return made.getvalue()


HEADERS = {
    "header-info": json.dumps({"payloads": [{"type": "rootfs-image"}]}).encode(),
    TYPE_INFO: b'{"type": "rootfs-image"}',
}
HEADER = tar(HEADERS)
PAYLOAD = tar({"rootfs.ext4": ROOTFS})


def artifact(header: bytes = HEADER, payload: bytes = PAYLOAD, more: Mapping[str, bytes] | None = None) -> bytes:
    version = json.dumps({"format": "mender", "version": 3}).encode()
    sums = {"version": version, "header.tar": header, "data/0000/rootfs.ext4": ROOTFS}
    manifest = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sums.items())
    first = {"version": version, "manifest": manifest.encode(), "header.tar": header}
    return tar({**first, **(more or {}), "data/0000.tar": payload})


def extended(kind: bytes, size: int, content: bytes = b"") -> bytes:
    """A header that tells more of the file behind it, and claims to have a size."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


def sparse(name: str, size: int) -> bytes:
    """A file that is one hole (GNU tar's older format)."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:410] = f"{size:011o}\0{0:011o}\0".encode()
    block[483:495] = f"{size:011o}\0".encode()
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def pax_sparse(name: str, size: int) -> bytes:
    """The same in the newer format."""
    records = b""
    for key, value in (("GNU.sparse.map", f"{size},0"), ("GNU.sparse.size", str(size)), ("GNU.sparse.numblocks", "1")):
        record = f" {key}={value}\n".encode()
        records += str(len(record) + 2).encode() + record
    return extended(tarfile.XHDTYPE, len(records), records) + tar({name: b""})


def unpacked(data: bytes) -> bytes:
    return b"".join(Artifact().unpacked(io.BytesIO(data)))


EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
SIZE = "headers have no reasonable size"


def test_one_that_is_none_is_read() -> None:
    assert unpacked(artifact()) == ROOTFS


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_headers_that_claim_to_be_large(kind: bytes) -> None:
    bomb = extended(kind, 2 << 30)
    whole = artifact()
    at = whole.index(b"manifest\0")
    for data in (artifact(payload=bomb + PAYLOAD), artifact(header=bomb + HEADER), whole[:at] + bomb + whole[at:]):
        with pytest.raises(AmbassadorError, match=SIZE):
            unpacked(data)


def test_headers_without_end() -> None:
    pax = extended(tarfile.XHDTYPE, 8, b"8 a=bcd\n")
    for bomb in (pax * 1000, extended(tarfile.GNUTYPE_LONGNAME, 1, b"a") * 1000):
        with pytest.raises(AmbassadorError, match=f"{SIZE}|recursion"):
            unpacked(artifact(payload=bomb + PAYLOAD))
    with pytest.raises(AmbassadorError, match=SIZE):
        unpacked(artifact(header=tar({**HEADERS, **{str(n): b"" for n in range(600)}})))


@pytest.mark.parametrize("make", [sparse, pax_sparse])
def test_files_that_are_holes(make: Callable[[str, int], bytes]) -> None:
    payload = make("rootfs.ext4", len(ROOTFS)) + bytes(1024)
    header = make("scripts/a", 60 * MIB) + make("scripts/b", 60 * MIB) + HEADER
    for data in (artifact(payload=payload), artifact(header=header)):
        with pytest.raises(AmbassadorError, match="is no file, or one with holes"):
            unpacked(data)


def test_more_beside_the_payload_than_fits_into_memory() -> None:
    with pytest.raises(AmbassadorError, match="more in it beside the payload than is reasonable"):
        unpacked(artifact(more={"manifest.sig": bytes(40 * MIB), "more": bytes(40 * MIB)}))


def test_payloads_with_more_or_less_than_a_file() -> None:
    with pytest.raises(AmbassadorError, match="more than one file"):
        unpacked(artifact(payload=PAYLOAD + PAYLOAD))
    with pytest.raises(AmbassadorError, match=r"1088 bytes of rootfs\.ext4 are missing"):
        unpacked(artifact(payload=PAYLOAD[:1024]))
    with pytest.raises(AmbassadorError, match="no file in its payload"):
        unpacked(artifact(payload=bytes(10240)))
