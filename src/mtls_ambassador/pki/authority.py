"""A certificate authority that can sign: its certificate, those above it, and its key."""

import hashlib
from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import PrivateKey, Validity
from mtls_ambassador.pki.subject import text_of

Hash: TypeAlias = hashes.SHA256 | hashes.SHA384 | hashes.SHA512


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA with its key at hand; the key may be one that stays in a PKCS#11 token."""

    name: str
    """Its folder's name, such as `issuing`."""
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """Its issuer, that one's issuer and so on, the root last; empty for a root."""
    key: PrivateKey = field(repr=False)

    @property
    def issuer_sha256(self) -> bytes:
        """SHA-256 of the SPKI in DER: what records name this CA by, whatever its certificate's version or age."""
        return issuer_sha256(self.certificate)

    @property
    def hash_algorithm(self) -> Hash | None:
        """The hash its key signs with."""
        return hash_algorithm(self.key)

    @property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """The AKI of what it signs: a copy of its SKI, else made the usual way (RFC 5280 sections 4.2.1.1 and 2)."""
        if self.certificate.version is not x509.Version.v1:
            try:
                found = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            except x509.ExtensionNotFound:
                pass
            else:
                return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    @property
    def intermediates(self) -> tuple[x509.Certificate, ...]:
        """What a TLS peer sends after its own certificate: this CA and those above it, without the root."""
        return tuple(item for item in (self.certificate, *self.chain) if item.issuer != item.subject)

    def capped(self, validity: Validity) -> Validity:
        """The validity, ending with this CA or one above it if that ends before."""
        ends = [item.not_valid_after_utc for item in (self.certificate, *self.chain)]
        return Validity(validity.not_before, min(validity.not_after, *ends))

    def check_outlives(self, validity: Validity) -> None:
        """Raise AmbassadorError when a certificate of this validity would outlive this CA or one above it."""
        for item in (self.certificate, *self.chain):
            if validity.not_after > item.not_valid_after_utc:
                raise AmbassadorError(
                    f"a certificate until {validity.not_after:%Y-%m-%d} would outlive its CA"
                    f" {text_of(item.subject)}, which ends {item.not_valid_after_utc:%Y-%m-%d};"
                    " give fewer days, or make a CA that lasts longer"
                )


def issuer_sha256(certificate: x509.Certificate) -> bytes:
    """SHA-256 of a CA's SPKI in DER."""
    return spki_sha256(certificate.public_key())


def spki_sha256(key: CertificatePublicKeyTypes) -> bytes:
    """SHA-256 of a public key's SPKI in DER."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def hash_algorithm(key: PrivateKey) -> Hash | None:
    """The hash to sign with: as strong as the curve (RFC 5758), SHA-256 for RSA, none for Ed25519 (RFC 8410)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:  # noqa: PLR2004 - bits of P-256
        return hashes.SHA384() if key.key_size == 384 else hashes.SHA512()  # noqa: PLR2004 - bits of P-384
    return hashes.SHA256()
