"""What is right and wrong with the certificates and keys an operator provides: facts in, findings out."""

import datetime as dt
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mtls_ambassador.model.finding import Finding, fail, ok, warn
from mtls_ambassador.pki.pem import PemFile, read_pem

Kind = TypeVar("Kind", bound=x509.ExtensionType)

SOON = dt.timedelta(days=30)
_SMALLEST_RSA = 2048
_SERVER = "server certificate"
_KEY = "server key"
_CA = "device CA"


def inspect_server(certificate_pem: bytes, key_pem: bytes | None, now: dt.datetime) -> list[Finding]:
    """The server certificate's file: readable, its key, order of the chain, names, dates."""
    pem = read_pem(certificate_pem)
    found = [fail(_SERVER, error, "write the file anew from the CA's answer") for error in pem.errors]
    if not pem.certificates:
        return found or [fail(_SERVER, _no_certificate(pem), "give the certificate in PEM form")]
    leaf = pem.certificates[0]
    if key_pem is not None:
        found.append(inspect_key(pem.certificates, key_pem))
    if pem.has_private_key:
        found.append(warn(_SERVER, "the file also holds a private key", "keep the key in its own file, mode 0600"))
    found.append(_chain(pem.certificates))
    found.append(_names(leaf))
    found += _uses(leaf)
    found += [_dates(_part(number), item, now) for number, item in enumerate(pem.certificates)]
    return found


def _part(number: int) -> str:
    return f"{_SERVER} dates" if number == 0 else f"{_SERVER} chain dates"


def _no_certificate(pem: PemFile) -> str:
    return f"the file holds {', '.join(pem.labels)} and no certificate" if pem.labels else "the file is not PEM"


def inspect_key(certificates: tuple[x509.Certificate, ...], key_pem: bytes) -> Finding:
    """Whether the private key belongs to the first certificate. No finding repeats key material."""
    try:
        key = load_pem_private_key(key_pem, password=None)
    except TypeError:
        return fail(_KEY, "it is encrypted", "give it without a passphrase, mode 0600")
    except (ValueError, UnsupportedAlgorithm):
        return fail(_KEY, "the file holds no readable private key", "give the key in PEM form")
    own = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    matching = [number for number, item in enumerate(certificates) if _spki(item) == own]
    if not matching:
        return fail(_KEY, "does not belong to the server certificate", "give the key the certificate was made for")
    if matching[0] > 0:
        seen = f"belongs to certificate {matching[0] + 1} of the file, not to the first"
        return fail(_KEY, seen, "put the server's own certificate first")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _SMALLEST_RSA:
        return fail(_KEY, f"RSA with {key.key_size} bits, which Envoy refuses", "make one of 3072 bits, or P-256")
    return ok(_KEY, "belongs to the server certificate")


def _spki(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _chain(certificates: tuple[x509.Certificate, ...]) -> Finding:
    for number, (item, issuer) in enumerate(pairwise(certificates), start=1):
        if not _issued_by(item, issuer):
            seen = f"certificate {number} ({_name(item)}) is not issued by certificate {number + 1} ({_name(issuer)})"
            return warn(f"{_SERVER} chain", seen, "put the server's own first, then each one's issuer")
    count = len(certificates)
    return ok(
        f"{_SERVER} chain", f"{_name(certificates[0])}, issued by {_text(certificates[0].issuer)}, {count} in file"
    )


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _names(leaf: x509.Certificate) -> Finding:
    """Names by RFC 9525: the SAN counts; a lone common name is a fallback only some clients have."""
    san = _extension(leaf, x509.SubjectAlternativeName)
    names: list[str] = []
    if san is not None:
        names += san.get_values_for_type(x509.DNSName)
        names += [str(address) for address in san.get_values_for_type(x509.IPAddress)]
    common = [str(item.value) for item in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names:
        return ok(f"{_SERVER} names", ", ".join(names))
    if not common:
        return fail(f"{_SERVER} names", "it has neither SAN nor common name", "make one with the host name in its SAN")
    return warn(
        f"{_SERVER} names",
        f"only the common name {common[0]} and no SAN: Mender's clients and curl take it, but Go, Python and Java "
        "programs and browsers refuse it (RFC 9525)",
        "make one with the host name in its SAN",
    )


def _uses(leaf: x509.Certificate) -> list[Finding]:
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is None or {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage):
        return []
    return [fail(f"{_SERVER} usage", "its extended key usage lacks serverAuth", "make one with it, or without any")]


def inspect_ca_bundle(data: bytes, now: dt.datetime) -> list[Finding]:
    """The bundle device certificates must chain to; at least one usable CA certificate must be in it."""
    pem = read_pem(data)
    found = [fail(_CA, error, "write the file anew") for error in pem.errors]
    if pem.has_private_key:
        found.append(
            fail(_CA, "the file holds a private key", "take it out: the gateway needs the CA's certificate alone")
        )
    if not pem.certificates:
        return found or [fail(_CA, _no_certificate(pem), "give the CA certificate in PEM form")]
    found += [_ca(item, now) for item in pem.certificates]
    if not any(
        _may_sign(item) and item.not_valid_before_utc <= now <= item.not_valid_after_utc for item in pem.certificates
    ):
        found.append(
            fail(_CA, "no certificate of the file is a CA within its dates", "give the one that signs devices")
        )
    return found


def _ca(item: x509.Certificate, now: dt.datetime) -> Finding:
    if not _may_sign(item):
        seen = f"{_name(item)} is not a CA certificate"
        return warn(_CA, seen, "take it out: in this file it lets its own holder in whoever issued it")
    if item.version is x509.Version.v1 and item.issuer != item.subject:
        seen = f"{_name(item)} is X.509 v1 and issued by {_text(item.issuer)}, which may make it a device's certificate"
        return warn(_CA, seen, "keep it only if it signs devices")
    kind = "root" if item.issuer == item.subject else "intermediate"
    version = ", X.509 v1" if item.version is x509.Version.v1 else ""
    label = f"{_name(item)} ({kind}{version})"
    span = f"{item.not_valid_before_utc:%Y-%m-%d} to {item.not_valid_after_utc:%Y-%m-%d}"
    if now > item.not_valid_after_utc:
        return warn(_CA, f"{label} has expired, valid {span}: devices under it are refused", "renew it or take it out")
    if now < item.not_valid_before_utc:
        return warn(_CA, f"{label} is not valid yet, valid {span}", "check this machine's clock")
    if item.not_valid_after_utc - now < SOON:
        return warn(_CA, f"{label} expires soon, valid {span}", "add its successor to this file now")
    return ok(_CA, f"{label}, valid {span}")


def _may_sign(item: x509.Certificate) -> bool:
    """Whether OpenSSL's family would let it sign: v1 counts as CA where it is trusted by being in the bundle."""
    if item.version is x509.Version.v1:
        return True
    constraints = _extension(item, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _dates(name: str, item: x509.Certificate, now: dt.datetime) -> Finding:
    span = f"{_name(item)}, valid {item.not_valid_before_utc:%Y-%m-%d} to {item.not_valid_after_utc:%Y-%m-%d}"
    if now > item.not_valid_after_utc:
        return fail(name, f"expired: {span}", "renew it")
    if now < item.not_valid_before_utc:
        return fail(name, f"not valid yet: {span}", "check this machine's clock, or wait")
    if item.not_valid_after_utc - now < SOON:
        return warn(name, f"expires soon: {span}", "renew it")
    return ok(name, span)


def _extension(item: x509.Certificate, kind: type[Kind]) -> Kind | None:
    """An extension, or None when it is missing or cannot be read."""
    try:
        return item.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError, TypeError):
        return None


def _name(item: x509.Certificate) -> str:
    return _text(item.subject)


def _text(name: x509.Name) -> str:
    return name.rfc4514_string() or "(no name)"
