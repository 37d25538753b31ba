"""PEM files (RFC 7468) read block by block, so that an error can name the line."""

import re
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PemFile:
    """What a PEM file holds."""

    certificates: tuple[x509.Certificate, ...]
    labels: tuple[str, ...]
    """The label of every block, such as `CERTIFICATE` or `EC PRIVATE KEY`."""
    errors: tuple[str, ...] = field(default=())
    """One text for each certificate that could not be read, naming its line."""

    @property
    def has_private_key(self) -> bool:
        """Whether a private key is among the blocks."""
        return any(label.endswith("PRIVATE KEY") for label in self.labels)


def trust_fault(data: bytes) -> str | None:
    """Why a file is not certificates to give to every device, who may all read it; None when it is.

    Fails closed: also what looks like a private key, such as a block without its end, must not be in it.
    """
    if b"PRIVATE KEY" in data:
        return "has a private key in it, which every device would get; give a file with certificates only"
    pem = read_pem(data)
    if pem.errors:
        return f"is damaged: {pem.errors[0]}"
    return None if pem.certificates else "has no certificate in it: it must be PEM certificates"


def read_pem(data: bytes) -> PemFile:
    """The blocks of a PEM file; text between them is a comment, as everywhere."""
    certificates, labels, errors = [], [], []
    for match in _BLOCK.finditer(data):
        label = match[1].decode()
        labels.append(label)
        if label != "CERTIFICATE":
            continue
        try:
            certificates.append(_certificate(match.group()))
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
            line = data.count(b"\n", 0, match.start()) + 1
            errors.append(f"the certificate at line {line} cannot be read ({str(error).partition(chr(10))[0][:120]})")
    return PemFile(tuple(certificates), tuple(labels), tuple(errors))


def _certificate(pem: bytes) -> x509.Certificate:
    """With names and dates read at once: the library does so when asked, and whoever asks expects no fault of them."""
    certificate = x509.load_pem_x509_certificate(pem)
    for each in (certificate.subject, certificate.issuer):
        each.rfc4514_string()
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return certificate
