"""The manifest of a batch: JSON Lines, one device a line, signed by the CA so that a line changed or missing shows.

The signature is raw and apart from the file, so that openssl alone can verify it (docs/factory/certificates.md).
"""

import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import PrivateKey

FILE_NAME = "manifest.jsonl"
SIGNATURE_SUFFIX = ".sig"
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}")
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_HASHED = Prehashed(hashes.SHA256())
"""So that a million lines, 400 MB, need not be held at once; Ed25519 alone has no such way."""


@dataclass(frozen=True, slots=True)
class ImageNote:
    """The image, or the patch that makes it, of one device."""

    file: str
    """Its name beside the manifest."""
    sha256: bytes
    golden_sha256: bytes
    """Of the image all devices start from."""

    def facts(self) -> dict[str, str]:
        """For JSON."""
        return {"file": self.file, "sha256": self.sha256.hex(), "golden_sha256": self.golden_sha256.hex()}


@dataclass(frozen=True, slots=True)
class Line:
    """What was made for one device."""

    name: str
    serial: int
    certificate_sha256: bytes
    """Of the certificate in DER."""
    public_key_sha256: bytes
    """Of its SubjectPublicKeyInfo in DER."""
    not_before: dt.datetime
    not_after: dt.datetime
    made_at: dt.datetime
    identity: tuple[tuple[str, str], ...] = ()
    device_type: str = ""
    image: ImageNote | None = None
    """None when the device got a folder of files."""

    def to_json(self) -> str:
        """The line, with its newline; the serial in hexadecimal as openssl prints it."""
        serial = f"{self.serial:X}"
        values: dict[str, object] = {
            "name": self.name,
            "serial": serial.zfill(len(serial) + len(serial) % 2),
            "certificate_sha256": self.certificate_sha256.hex(),
            "public_key_sha256": self.public_key_sha256.hex(),
            "not_before": _time(self.not_before),
            "not_after": _time(self.not_after),
            "made_at": _time(self.made_at),
        }
        if self.identity:
            values["identity"] = dict(self.identity)
        if self.device_type:
            values["device_type"] = self.device_type
        if self.image:
            values["image"] = self.image.facts()
        return _JSON.encode(values) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Line":
        """Raises ValueError for what `to_json` never writes."""
        values: Any = json.loads(text)
        try:
            return cls(
                str(values["name"]),
                int(values["serial"], 16),
                bytes.fromhex(values["certificate_sha256"]),
                bytes.fromhex(values["public_key_sha256"]),
                dt.datetime.fromisoformat(values["not_before"]),
                dt.datetime.fromisoformat(values["not_after"]),
                dt.datetime.fromisoformat(values["made_at"]),
                _identity(values.get("identity", {})),
                str(values.get("device_type", "")),
                _image_note(values["image"]) if "image" in values else None,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no line of a manifest: {error!r}") from error


def _identity(values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    if not all(isinstance(value, str) for value in values.values()):
        raise ValueError("identity: each value must be a text in quotes")
    return tuple(values.items())


def _image_note(values: dict[str, str]) -> ImageNote:
    if not _FILE_NAME.fullmatch(values["file"]):
        raise ValueError(f"image file {values['file']!r}")
    return ImageNote(values["file"], bytes.fromhex(values["sha256"]), bytes.fromhex(values["golden_sha256"]))


@lru_cache(maxsize=64)
def _time(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sign(path: Path, key: PrivateKey) -> bytes:
    """The CA's signature over a manifest: ECDSA or RSA (PKCS #1 v1.5) with SHA-256, or Ed25519."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.sign(sha256(path), ec.ECDSA(_HASHED))
        case rsa.RSAPrivateKey():
            try:
                return key.sign(sha256(path), padding.PKCS1v15(), _HASHED)
            except TypeError:  # a key in a token, which wants the whole
                return key.sign(path.read_bytes(), padding.PKCS1v15(), hashes.SHA256())
        case ed25519.Ed25519PrivateKey():
            return key.sign(path.read_bytes())


def verify(path: Path, signature: bytes, ca: x509.Certificate) -> None:
    """Raises AmbassadorError unless this CA signed exactly these bytes; fails closed for other kinds of keys."""
    key = ca.public_key()
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(signature, sha256(path), ec.ECDSA(_HASHED))
            case rsa.RSAPublicKey():
                key.verify(signature, sha256(path), padding.PKCS1v15(), _HASHED)
            case ed25519.Ed25519PublicKey():
                key.verify(signature, path.read_bytes())
            case _:
                raise AmbassadorError(f"{path}: a CA with such a key signs no manifest")
    except InvalidSignature:
        raise AmbassadorError(
            f"{path}: not signed by {ca.subject.rfc4514_string()}, or changed after it was signed"
        ) from None


def sha256(path: Path) -> bytes:
    """Of the whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
