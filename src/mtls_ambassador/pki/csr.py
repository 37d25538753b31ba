"""Certificate requests (PKCS #10, RFC 2986): who asks must hold the key, and is told what of the request counts."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.keys import usable_public_key
from mtls_ambassador.pki.profiles import IpAddress, PublicKey
from mtls_ambassador.pki.subject import OIDS, Fields

_SHORT = {oid: short for short, oid in OIDS.items()}


@dataclass(frozen=True, slots=True)
class Csr:
    """A request whose signature is right."""

    public_key: PublicKey
    subject: Fields
    """The fields that are known here, as the requester wrote them."""
    dns: tuple[str, ...]
    ips: tuple[IpAddress, ...]

    @property
    def common_name(self) -> str:
        """The first common name; empty when there is none."""
        return next((value for short, value in self.subject if short == "CN"), "")


def read_csr(data: bytes, path: Path) -> Csr:
    """The request in PEM or DER.

    Fails closed: raises AmbassadorError when it cannot be read, when its signature does not prove possession of the
    key, or when its key is of no use.
    """
    try:
        csr = x509.load_pem_x509_csr(data) if b"-----BEGIN" in data else x509.load_der_x509_csr(data)
        proven = csr.is_signature_valid
        key = csr.public_key()
        subject = tuple((_SHORT[item.oid], str(item.value)) for item in csr.subject if item.oid in _SHORT)
        san = _san(csr)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension) as error:
        raise AmbassadorError(f"{path}: no certificate request can be read ({str(error)[:120]})") from error
    if not proven:
        raise AmbassadorError(f"{path}: is forged or damaged: its signature is not by its own key")
    dns = tuple(san.get_values_for_type(x509.DNSName)) if san else ()
    addresses = san.get_values_for_type(x509.IPAddress) if san else []
    ips = tuple(item for item in addresses if isinstance(item, IpAddress))
    return Csr(usable_public_key(key, str(path)), subject, dns, ips)


def _san(csr: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    try:
        return csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
