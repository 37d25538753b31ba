"""One folder per device, as the Mender client is configured for: key (0600), certificate, and mender.conf if wanted."""

import hashlib
import io
import os
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mtls_ambassador.model.errors import AmbassadorError

CERTIFICATE = "mender-cert.pem"
KEY = "mender-cert-private.pem"
CONFIGURATION = "mender.conf"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Format(StrEnum):
    """How a batch is handed over."""

    FOLDERS = "folders"
    TAR = "tar"
    PEM = "pem"


class Found(StrEnum):
    """What the folder of a device holds, compared with its record."""

    WHOLE = "whole"
    """The recorded certificate and its key."""
    SHREDDED = "shredded"
    """The recorded certificate, no key."""
    PART = "part"
    """Nothing, or what a run that was killed leaves behind."""
    OTHER = "other"
    """Another certificate or key: not to be touched."""


@dataclass(frozen=True, slots=True)
class DeviceFiles:
    """What goes to one device."""

    name: str
    certificate: bytes
    """PEM."""
    key: bytes = field(repr=False)
    """PEM, PKCS#8, not encrypted."""
    serial: str = ""
    """Of the certificate, in hexadecimal."""
    certificate_sha256: bytes = b""
    """Of the certificate in DER."""
    identity: tuple[tuple[str, str], ...] = ()
    device_type: str = ""


def write(folder: int, device: DeviceFiles, configuration: bytes | None) -> None:
    """Into its folder below `folder` (a descriptor), key first: where a certificate is, its key was written before.

    Never overwrites: raises AmbassadorError when a file is there already. Nothing is synced to disk here.
    """
    with suppress(FileExistsError):  # a run that was killed here leaves it empty; files in it are refused below
        os.mkdir(device.name, dir_fd=folder)
    _write(folder, f"{device.name}/{KEY}", device.key, 0o600)
    _write(folder, f"{device.name}/{CERTIFICATE}", device.certificate, 0o644)
    if configuration is not None:
        _write(folder, f"{device.name}/{CONFIGURATION}", configuration, 0o644)


def _write(folder: int, name: str, content: bytes, mode: int) -> None:
    try:
        file = os.open(name, _NEW, mode, dir_fd=folder)
        try:
            if os.write(file, content) != len(content):
                raise AmbassadorError(f"{name}: not written whole; is the disk full?")
        finally:
            os.close(file)
    except FileExistsError:
        raise AmbassadorError(f"{name}: is there already and is not overwritten") from None
    except OSError as error:
        raise AmbassadorError(f"{name}: {error.strerror}") from error


def packed(device: DeviceFiles, configuration: bytes | None, form: Format) -> bytes:
    """The same for a stream: members of a tar archive, or PEM blocks after a comment with the name."""
    if form is Format.PEM:
        return b"# " + device.name.encode() + b"\n" + device.key + device.certificate
    out = member(f"{device.name}/{KEY}", device.key, 0o600) + member(
        f"{device.name}/{CERTIFICATE}", device.certificate, 0o644
    )
    return out if configuration is None else out + member(f"{device.name}/{CONFIGURATION}", configuration, 0o644)


def member(name: str, content: bytes, mode: int) -> bytes:
    """One file of a tar archive (POSIX ustar)."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def end_of_archive() -> bytes:
    """What a tar archive ends with."""
    out = io.BytesIO()
    tarfile.open(fileobj=out, mode="w").close()
    return out.getvalue()


def look(folder: Path, name: str, fingerprint: bytes, spki_sha256: bytes) -> Found:
    """What is there of a device whose record has these hashes."""
    key = _read(folder / name / KEY)
    certificate_hash, key_hash = _fingerprint(_read(folder / name / CERTIFICATE)), _spki_sha256(key)
    if certificate_hash not in {fingerprint, None} or key_hash not in {spki_sha256, None}:
        return Found.OTHER
    if certificate_hash is None or (key is not None and key_hash is None):
        return Found.PART
    return Found.SHREDDED if key is None else Found.WHOLE


def remove_part(folder: Path, name: str) -> None:
    """Take away what `look` called a part, so that the device can be made again."""
    for file in (KEY, CERTIFICATE, CONFIGURATION):
        (folder / name / file).unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _fingerprint(pem: bytes | None) -> bytes | None:
    if pem is None:
        return None
    try:
        return hashlib.sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).digest()
    except ValueError:
        return None


def _spki_sha256(pem: bytes | None) -> bytes | None:
    if pem is None:
        return None
    try:
        public = load_pem_private_key(pem, None).public_key()
    except (ValueError, TypeError):
        return None
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
