"""What is weak about a CA somebody brings along: facts in, findings out."""

import datetime as dt
from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.model.finding import Finding, fail, ok, warn
from mtls_ambassador.pki.keys import describe_key, public_key_fault
from mtls_ambassador.pki.lint import lint
from mtls_ambassador.pki.subject import text_of

_SOON = dt.timedelta(days=365)
_OCTETS = 20
_STRONG_RSA = 3072
_STRONG_HASHES = {"sha256", "sha384", "sha512"}


def weaknesses(certificate: x509.Certificate, chain: tuple[x509.Certificate, ...], now: dt.datetime) -> list[Finding]:
    """What is wrong (FAIL: it cannot be used) and what is weak (warn) about a CA, or one finding that nothing is."""
    found = [
        *_dates(certificate, now),
        *_key(certificate),
        *_signature(certificate),
        *_form(certificate),
        *_chain(certificate, chain),
    ]
    said = {item.name for item in found}
    if certificate.version is x509.Version.v3:
        stops = [item for item in lint(certificate.public_bytes(Encoding.DER)) if item.stops]
        found += [warn("lint", str(item), "a new CA has none of this") for item in stops if "serial" not in said]
    return found or [ok("CA", f"{text_of(certificate.subject)}: nothing weak about it")]


def _dates(certificate: x509.Certificate, now: dt.datetime) -> Iterator[Finding]:
    end = certificate.not_valid_after_utc
    if end <= now:
        yield fail("dates", f"it expired {end:%Y-%m-%d}", "make a new CA")
    elif end - now < _SOON:
        seen = f"it expires {end:%Y-%m-%d}, and no certificate may outlive it"
        yield warn("dates", seen, "make its successor now, and add that to the gateway's trust")
    if certificate.not_valid_before_utc > now:
        yield fail("dates", f"it is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}", "check the clock")


def _key(certificate: x509.Certificate) -> Iterator[Finding]:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        yield fail("key", f"it cannot be read ({error})", "bring a CA with an EC, RSA or Ed25519 key")
        return
    fault = public_key_fault(key)
    if fault is not None:
        yield fail("key", fault, "make a new CA")
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size < _STRONG_RSA:
        yield warn("key", f"{describe_key(key)} is not for a CA of many years", "RSA 3072 or P-256 are")


def _signature(certificate: x509.Certificate) -> Iterator[Finding]:
    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        yield fail("signature", "its algorithm is not known", "make a new CA")
        return
    if used is not None and used.name not in _STRONG_HASHES:
        yield warn("signature", f"{used.name}, which TLS libraries refuse below a root", "make a new CA")


def _form(certificate: x509.Certificate) -> Iterator[Finding]:
    serial = certificate.serial_number
    if serial <= 0 or serial.bit_length() > 8 * _OCTETS - 1:
        seen = "it is not positive, or longer than 20 octets (RFC 5280 section 4.1.2.2)"
        yield warn("serial", seen, "a new CA has a good one")
    if certificate.version is x509.Version.v1:
        seen = "X.509 v1, without extensions: nothing in it says that it is a CA, so rustls and browsers refuse it"
        yield warn("version", seen, "OpenSSL, Go and Envoy take it where it is trusted by name; a new CA is v3")
        yield warn("path length", "nothing limits it: whoever holds a v1 certificate of it could sign too")
        yield warn("key identifier", "it has none: certificates are matched to it by name alone")
        return
    yield from _extensions(certificate)


def _extensions(certificate: x509.Certificate) -> Iterator[Finding]:
    found = {type(item.value): item.value for item in certificate.extensions}
    constraints = found.get(x509.BasicConstraints)
    if not isinstance(constraints, x509.BasicConstraints) or not constraints.ca:
        yield fail("CA", "its basic constraints do not say that it is a CA", "bring the certificate of a CA")
    elif constraints.path_length is None:
        yield warn("path length", "nothing limits it: it may make CAs, and they may too", "a new CA has a limit")
    usage = found.get(x509.KeyUsage)
    if not isinstance(usage, x509.KeyUsage):
        yield warn("key usage", "it says nothing of what its key is for (RFC 5280 section 4.2.1.3)")
    elif not usage.key_cert_sign:
        yield fail("key usage", "its key may not sign certificates", "bring a CA with keyCertSign")
    elif not usage.crl_sign:
        yield warn("key usage", "its key may not sign CRLs: `pki crl` makes one that strict programs refuse")
    if x509.SubjectKeyIdentifier not in found:
        yield warn("key identifier", "it has none: certificates are matched to it by name alone")


def _chain(certificate: x509.Certificate, chain: tuple[x509.Certificate, ...]) -> Iterator[Finding]:
    top = chain[-1] if chain else certificate
    if top.issuer != top.subject:
        seen = f"it ends at {text_of(top.subject)}, which {text_of(top.issuer)} issued"
        yield warn("chain", seen, "give the CAs above it by --chain, up to the root")
    below = certificate
    for above in chain:
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            seen = f"{text_of(above.subject)} did not issue {text_of(below.subject)}"
            yield fail("chain", seen, "give each one's issuer after it")
        below = above
