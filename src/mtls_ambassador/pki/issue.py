"""Keys and certificates made in memory: for the demo, simulated devices and tests."""

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class KeyKind(StrEnum):
    """The kinds of key Mender's clients use."""

    P256 = "p256"
    P384 = "p384"
    P521 = "p521"
    RSA = "rsa"
    ED25519 = "ed25519"


def make_key(kind: KeyKind = KeyKind.P256) -> PrivateKey:
    """A new private key; RSA has 3072 bits, as Mender's own clients make it."""
    match kind:
        case KeyKind.P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyKind.P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyKind.P521:
            return ec.generate_private_key(ec.SECP521R1())
        case KeyKind.RSA:
            return rsa.generate_private_key(public_exponent=65537, key_size=3072)
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def key_pem(key: PrivateKey) -> bytes:
    """The private key as unencrypted PKCS#8 PEM (RFC 5958)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_key_pem(key: PrivateKey) -> str:
    """The public key as PEM `PUBLIC KEY`, the form Mender's auth request wants."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM."""
        return key_pem(self.key)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate is good; both aware UTC times."""

    not_before: dt.datetime
    not_after: dt.datetime

    @classmethod
    def days(cls, now: dt.datetime, days: int) -> "Validity":
        """Good for `days` days from `now`, back-dated by one day for devices whose clock lags."""
        return cls(now - dt.timedelta(days=1), now + dt.timedelta(days=days))


def make_ca(name: str, validity: Validity, *, kind: KeyKind = KeyKind.P256, issuer: Pair | None = None) -> Pair:
    """A CA certificate (RFC 5280 section 4.2.1.9): a root without `issuer`, else an intermediate of it."""
    key = make_key(kind)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(_name(name), key, validity, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return _sign(builder, key, issuer)


def make_server(ca: Pair, hosts: list[str], validity: Validity, *, kind: KeyKind = KeyKind.P256) -> Pair:
    """A server certificate for DNS names and IP addresses, all of them in its SAN (RFC 9525)."""
    key = make_key(kind)
    builder = _builder(_name(hosts[0]), key, validity, ca)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
    )
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return _sign(builder, key, ca)


def make_device(ca: Pair, name: str, validity: Validity, *, key: PrivateKey | None = None) -> Pair:
    """A device certificate with clientAuth; `key` may be given, so that one key can get a second certificate."""
    key = key or make_key()
    builder = _builder(_name(name), key, validity, ca)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return _sign(builder, key, ca)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: x509.Name, key: PrivateKey, validity: Validity, issuer: Pair | None) -> x509.CertificateBuilder:
    """Name, key, serial, dates and key identifiers; the AKI copies the issuer's SKI (RFC 5280 section 4.2.1.1)."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is None:
        return builder
    try:
        ski = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return builder  # the seed's CA is X.509 v1 and has none
    aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski)
    return builder.add_extension(aki, critical=False)


def _sign(builder: x509.CertificateBuilder, key: PrivateKey, issuer: Pair | None) -> Pair:
    signer = issuer.key if issuer else key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Pair(builder.sign(signer, algorithm), key)
