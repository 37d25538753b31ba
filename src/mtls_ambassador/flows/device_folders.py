"""Keys and certificates made before: a folder of folders, as `pki batch` leaves it, read by the workers of a batch."""

import datetime as dt
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mtls_ambassador.flows.batch_files import CERTIFICATE, KEY, DeviceFiles
from mtls_ambassador.flows.batch_outlet import Deliverer
from mtls_ambassador.flows.batch_workers import Delivered, Made, Task
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import serial_hex
from mtls_ambassador.pki.files import shred_files
from mtls_ambassador.pki.manifest import FILE_NAME, Line
from mtls_ambassador.pki.order import OrderRow, name_fault
from mtls_ambassador.pki.order_csv import noted_fault


@dataclass(frozen=True, slots=True)
class FolderOrder:
    """The devices there are folders of, by name."""

    devices: tuple[OrderRow, ...]

    @property
    def quantity(self) -> int:
        """How many."""
        return len(self.devices)

    @property
    def digest(self) -> bytes:
        """Of their names."""
        return hashlib.sha256(repr(self.devices).encode()).digest()

    def rows(self) -> Iterator[OrderRow]:
        """Each device."""
        return iter(self.devices)


def folder_order(folder: Path) -> FolderOrder:
    """Every device with a certificate in the folder; what a manifest there says of each goes with it.

    Raises AmbassadorError when there is none, or a name is not one of a device.
    """
    try:
        names = sorted(item.name for item in folder.iterdir() if (item / CERTIFICATE).is_file())
    except OSError as error:
        raise AmbassadorError(f"{folder}: {error.strerror}") from error
    if not names:
        raise AmbassadorError(f"{folder}: has no device: no folder in it holds a {CERTIFICATE}")
    for name in names:
        if fault := name_fault(name):
            raise AmbassadorError(f"{folder}: {fault}")
    known = {line.name: line for line in _manifest(folder / FILE_NAME)}
    return FolderOrder(tuple(_row(name, known.get(name)) for name in names))


def _row(name: str, line: Line | None) -> OrderRow:
    return OrderRow(name) if line is None else OrderRow(name, (), line.identity, line.device_type)


def _manifest(path: Path) -> Iterator[Line]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            try:
                line = Line.from_json(text)
            except ValueError as error:
                raise AmbassadorError(f"{path}: line {number}: {error}") from error
            if fault := noted_fault(line.identity, line.device_type):
                raise AmbassadorError(f"{path}: line {number}: {fault}")
            yield line


@dataclass(frozen=True, slots=True)
class ReadDevices:
    """All a worker needs; sent to it by pipe."""

    folder: Path
    new_deliverer: Callable[[], Deliverer] = field(repr=False)

    def __call__(self) -> "DeviceReader":
        """In the worker."""
        return DeviceReader(self)


class DeviceReader:
    """Reads keys and certificates instead of making them, and holds them until told that they are recorded."""

    def __init__(self, wanted: ReadDevices) -> None:
        self._folder = wanted.folder
        self._deliverer = wanted.new_deliverer()
        self._held: deque[list[DeviceFiles]] = deque()

    def make(self, tasks: list[Task]) -> list[Made]:
        """Read and hold them."""
        both = [self._read(task) for task in tasks]
        self._held.append([files for _, files in both])
        return [made for made, _ in both]

    def deliver(self) -> Delivered:
        """Write out what was read first."""
        return self._deliverer.deliver(self._held.popleft())

    def _read(self, task: Task) -> tuple[Made, DeviceFiles]:
        certificate, key = (_bytes(self._folder / task.name / file) for file in (CERTIFICATE, KEY))
        parsed = _checked(certificate, key, self._folder / task.name)
        der = parsed.public_bytes(Encoding.DER)
        spki = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        hashes = hashlib.sha256(spki).digest(), hashlib.sha256(der).digest()
        made = Made(task.name, task.serial, der, *hashes, parsed.subject.rfc4514_string(), "")
        files = DeviceFiles(
            task.name,
            certificate,
            key,
            serial=serial_hex(parsed.serial_number),
            certificate_sha256=made.fingerprint,
            identity=task.identity,
            device_type=task.device_type,
        )
        return made, files


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error


def _checked(certificate: bytes, key: bytes, folder: Path) -> x509.Certificate:
    """The certificate. Raises AmbassadorError unless both can be read and belong together."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise AmbassadorError(f"{folder / CERTIFICATE}: no readable certificate") from error
    try:
        public = load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError) as error:
        raise AmbassadorError(
            f"{folder / KEY}: no readable private key; a key for a device is not encrypted"
        ) from error
    if public != parsed.public_key():
        raise AmbassadorError(f"{folder}: the key is not that of the certificate")
    if parsed.not_valid_after_utc <= dt.datetime.now(dt.UTC):
        raise AmbassadorError(f"{folder / CERTIFICATE}: expired on {parsed.not_valid_after_utc:%Y-%m-%d}")
    return parsed


def pair_fault(folder: Path, line: Line, *, is_key_to_go: bool) -> str | None:
    """What in a device's folder is another than in its image; None when nothing is.

    The key is looked at when it is about to be removed.
    """
    place = folder / line.name
    if not _is_certificate_of(_bytes(place / CERTIFICATE), line.certificate_sha256):
        return f"{place / CERTIFICATE}: is another certificate than the one in the image of {line.name}"
    if is_key_to_go and not _is_key_of(_bytes(place / KEY), line.public_key_sha256):
        return f"{place / KEY}: is another key than the one in the image of {line.name}"
    return None


def _is_certificate_of(pem: bytes, sha256: bytes) -> bool:
    try:
        return hashlib.sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).digest() == sha256
    except ValueError:
        return False


def _is_key_of(pem: bytes, spki_sha256: bytes) -> bool:
    """Whether it is the key, or the noise that is left of one when its removal was interrupted."""
    try:
        # Compared and not used: to check the primes of an RSA key takes long.
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        return b"-----BEGIN" not in pem
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest() == spki_sha256


def shred_keys(folder: Path, names: Sequence[str]) -> int:
    """Overwrite and remove the private keys of these devices; returns how many there were."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return shred_files(descriptor, [path for name in names if os.path.lexists(path := folder / name / KEY)])
    except OSError as error:
        raise AmbassadorError(f"{error.filename or folder}: {error.strerror}; run it again") from error
    finally:
        os.close(descriptor)
