"""Keys and certificates of a device, read for what an audit needs to know: bytes in, facts out, no secrets in them."""

import datetime as dt
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mtls_ambassador.model.device_image import CertificateFacts

_UNREADABLE = (ValueError, x509.InvalidVersion, UnsupportedAlgorithm)
"""What cryptography raises for PEM that is damaged, or of a kind it does not know; also when a field is first read."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What certificates are compared with."""

    authorities: tuple[x509.Certificate, ...]
    now: dt.datetime


def certificate_facts(pem: bytes, path: str, measure: Measure) -> CertificateFacts | None:
    """What the first certificate says; None when there is none that can be read."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return CertificateFacts(
            path,
            certificate.fingerprint(hashes.SHA256()).hex(),
            hashlib.sha256(spki).hexdigest(),
            certificate.subject.rfc4514_string(),
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            any(_is_issued_by(certificate, authority) for authority in measure.authorities),
        )
    except _UNREADABLE:
        return None


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Fails closed: what cannot be verified is not issued by it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (*_UNREADABLE, TypeError, InvalidSignature):
        return False
    return True


def key_spki_sha256(pem: bytes) -> tuple[str, str]:
    """SHA-256, in hexadecimal, of a private key's SubjectPublicKeyInfo; when it is empty, why it cannot be read."""
    try:
        public = load_pem_private_key(pem, None).public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except TypeError:
        return "", "is encrypted, so that the client cannot use it"
    except _UNREADABLE:
        return "", "no readable private key"
    return hashlib.sha256(spki).hexdigest(), ""


def authorities_fault(pem: bytes, now: dt.datetime) -> str:
    """Why no server can be known by these certificates of CAs; empty when one can."""
    try:
        last = max(item.not_valid_after_utc for item in x509.load_pem_x509_certificates(pem))
    except _UNREADABLE:
        return "no readable certificate"
    return f"expired on {last:%Y-%m-%d}" if last <= now else ""


def pem_labels(content: bytes) -> list[str]:
    """What PEM blocks a file has (RFC 7468)."""
    begin, end = b"-----BEGIN ", b"-----"
    lines = (line.strip() for line in content.splitlines())
    return [
        line.removeprefix(begin).removesuffix(end).decode(errors="replace") for line in lines if line.startswith(begin)
    ]
