"""May an operator let this certificate speak for a device? Only one that the gateway would let in."""

import datetime as dt
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from mtls_ambassador.pki.pem import read_pem

Kind = TypeVar("Kind", bound=x509.ExtensionType)
Chain = tuple[x509.Certificate, ...]
_CLIENT = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


def read_certificates(data: bytes) -> Chain:
    """The certificates of a PEM file, at least one. Raises ValueError with what the file is instead."""
    try:
        pem = read_pem(data)
    except x509.InvalidVersion:
        raise ValueError("holds a certificate of no known X.509 version; take the one the CA issued") from None
    if pem.errors:
        raise ValueError("holds a certificate that is damaged; copy it anew, whole, from what the CA issued")
    if not pem.certificates and pem.labels:
        raise ValueError(f"holds {', '.join(pem.labels)} and no certificate; give the file with BEGIN CERTIFICATE")
    if not pem.certificates:
        raise ValueError("is no PEM certificate; one in DER becomes PEM by: openssl x509 -inform DER -in FILE")
    return pem.certificates


def device_fault(chain: Chain, bundle: Chain, now: dt.datetime) -> str | None:
    """Why the gateway would never let the first of `chain` in, and what would be right; None when it would.

    `bundle` is what it trusts; X.509 v1 CAs count there, and nowhere else, as in BoringSSL. Fails closed.
    """
    leaf = chain[0]
    try:
        if _is_ca(leaf, bundle):
            return "is a CA's certificate, not a device's; give the one the device presents"
        uses = _extension(leaf, x509.ExtendedKeyUsage)
        if uses is not None and not _CLIENT & set(uses):
            return "is not for TLS clients (its extended key usage lacks clientAuth); give the one the device presents"
        if not _leads_to(bundle, chain):
            return (
                f"was issued by {leaf.issuer.rfc4514_string()}, no CA of the gateway's trust (MTLS_TENANT_CA_PEM);"
                " give one that a CA of that file issued, followed by its intermediates if it has any"
            )
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return "has extensions that cannot be read; issue another"
    if now > leaf.not_valid_after_utc:
        return f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}; issue another (`pki renew`)"
    return None


def is_authority(item: x509.Certificate) -> bool:
    """Whether it is a CA's; of X.509 v1, when it names itself as its issuer."""
    try:
        return _is_ca(item, ())
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False


def _is_ca(item: x509.Certificate, bundle: Chain) -> bool:
    if item.version is x509.Version.v1:
        return item in bundle or item.issuer == item.subject
    constraints = _extension(item, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _leads_to(bundle: Chain, chain: Chain) -> bool:
    """Whether a CA of the bundle issued the first, or a CA among the others did that one of the bundle vouches for."""
    anchors = [item for item in bundle if item.version is x509.Version.v1 or _is_ca(item, bundle)]
    between = [item for item in chain[1:] if item.version is not x509.Version.v1 and _is_ca(item, bundle)]
    current = chain[0]
    while not any(_issued(anchor, current) for anchor in anchors):
        above = next((item for item in between if _issued(item, current)), None)
        if above is None:
            return False
        between.remove(above)
        current = above
    return True


def _issued(issuer: x509.Certificate, item: x509.Certificate) -> bool:
    try:
        item.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _extension(item: x509.Certificate, kind: type[Kind]) -> Kind | None:
    if item.version is x509.Version.v1:
        return None
    try:
        return item.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
