"""Files that name certificates and keys on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from cryptography import x509

_DIGITS = 64
"""Hexadecimal, of a SHA-256."""


def key_sha256(text: str) -> bytes:
    """SHA-256 of an SPKI: given as such, or by a PEM file of a public key or certificate. Raises AmbassadorError."""
    from mtls_ambassador.pki.authority import spki_sha256  # noqa: PLC0415 - slow to load

    bare = text.replace(":", "")
    if len(bare) == _DIGITS:
        try:
            return bytes.fromhex(bare)
        except ValueError:
            pass
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - slow to load

    data = read_bytes(Path(text))
    try:
        return spki_sha256(load_pem_public_key(data))  # type: ignore[arg-type]  # of a kind certificates have
    except ValueError:
        return spki_sha256(_first(Path(text), data).public_key())


def first_certificate(path: Path) -> "x509.Certificate":
    """The first of a PEM file: those after it are its CAs. Raises AmbassadorError when there is none."""
    return _first(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises AmbassadorError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise AmbassadorError(f"{path}: cannot be read: {error.strerror}") from error


def _first(path: Path, data: bytes) -> "x509.Certificate":
    from cryptography import x509  # noqa: PLC0415 - slow to load

    try:
        return x509.load_pem_x509_certificates(data)[0]
    except ValueError as error:
        raise AmbassadorError(f"{path}: holds no readable PEM certificate or public key") from error
