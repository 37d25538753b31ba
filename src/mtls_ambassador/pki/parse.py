"""Certificates and keys from their wire forms to values."""

import hashlib
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from mtls_ambassador.model.certificate import DeviceCertificate

_UNREADABLE = (
    TypeError,  # of a name whose text is a bit string
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises beside ValueError."""
_LEAST_RSA = 1024
"""Bits; also the least of an auth key."""
_SUBJECT_NAMES = {"cn": NameOID.COMMON_NAME, "o": NameOID.ORGANIZATION_NAME, "ou": NameOID.ORGANIZATIONAL_UNIT_NAME}


@lru_cache(maxsize=8192)
def device_certificate_from_header(value: str) -> DeviceCertificate:
    """Read the URL-encoded PEM Envoy hands over; a device sends the same one each time, so it is remembered.

    Fails closed: raises ValueError when it is missing or not one readable certificate, or when its key is so short that
    anybody can find its private part. Envoy has no limit for that.
    """
    pem = unquote_to_bytes(value)
    certificate = device_certificate(pem)
    key = x509.load_pem_x509_certificate(pem).public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA:
        raise ValueError(f"an RSA key of {key.key_size} bits can be factored; {_LEAST_RSA} is the least taken")
    return certificate


def device_certificate(pem: bytes) -> DeviceCertificate:
    """Read a PEM certificate of X.509 version 1 or 3. Raises ValueError when it cannot be read."""
    try:
        return _read(x509.load_pem_x509_certificate(pem))
    except _UNREADABLE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _read(certificate: x509.Certificate) -> DeviceCertificate:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return DeviceCertificate(
        serial=certificate.serial_number,
        issuer=certificate.issuer.rfc4514_string(),
        subject=certificate.subject.rfc4514_string(),
        spki_sha256=hashlib.sha256(spki).hexdigest(),
        fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=MappingProxyType(_names(certificate)),
    )


def _names(certificate: x509.Certificate) -> dict[str, tuple[str, ...]]:
    found = {
        placeholder: tuple(str(item.value) for item in certificate.subject.get_attributes_for_oid(oid))
        for placeholder, oid in _SUBJECT_NAMES.items()
    }
    found["serial"] = (f"{certificate.serial_number:x}",)
    if certificate.version is x509.Version.v1:
        return found | {"san_uri": (), "san_dns": ()}
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return found | {"san_uri": (), "san_dns": ()}
    return found | {
        "san_uri": tuple(san.get_values_for_type(x509.UniformResourceIdentifier)),
        "san_dns": tuple(san.get_values_for_type(x509.DNSName)),
    }
