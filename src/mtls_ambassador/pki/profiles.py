"""What goes into each kind of certificate (RFC 5280, RFC 9525): server, device and CA, built and signed.

No clock and no randomness here: serial, dates and keys are passed in.
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.authority import Authority, hash_algorithm
from mtls_ambassador.pki.issue import PrivateKey, Validity
from mtls_ambassador.pki.subject import Fields, fill, make_name

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

NO_EXPIRY = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
"""99991231235959Z, "no well-defined expiration date" (RFC 5280 section 4.1.2.5)."""
DAY = dt.timedelta(days=1)
LONGEST_COMMON_NAME = 64


def make_validity(now: dt.datetime, days: int | None, backdate: dt.timedelta = DAY) -> Validity:
    """From `backdate` before `now` to `days` after it, in whole seconds; None: no well-defined expiry."""
    now = now.replace(microsecond=0)
    try:
        return Validity(now - backdate, NO_EXPIRY if days is None else now + days * DAY)
    except OverflowError:
        raise UsageError(f"{days} days from now, or {backdate.days} days before it, is no date") from None


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """A TLS server: every name it is reached by, none in the common name alone (RFC 9525)."""

    dns: tuple[str, ...] = ()
    ips: tuple[IpAddress, ...] = ()
    subject: Fields = ()
    """Further fields of the subject."""
    days: int | None = 730
    backdate: dt.timedelta = DAY

    def validity(self, now: dt.datetime) -> Validity:
        """From when to when a certificate made now is good."""
        return make_validity(now, self.days, self.backdate)


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """A device: clientAuth, its name in the subject and in a SAN URI."""

    subject: Fields = (("CN", "{name}"),)
    san_uri: str = "urn:x-mender-device:{name}"
    """Empty: no SAN."""
    days: int | None = 3650
    """None: no well-defined expiry."""
    backdate: dt.timedelta = DAY

    def validity(self, now: dt.datetime) -> Validity:
        """From when to when a certificate made now is good."""
        return make_validity(now, self.days, self.backdate)

    def fields(self, name: str, extra: Fields = ()) -> Fields:
        """The subject of the device `name`; a field of `extra` goes before the template's."""
        return fill(self.subject, name, extra)

    def uri(self, name: str) -> str:
        """The SAN URI of the device `name`; empty: none."""
        return self.san_uri.replace("{name}", quote(name, safe=":@!$&'()*+,;=-._~"))


@dataclass(frozen=True, slots=True)
class AuthorityProfile:
    """A CA (RFC 5280 sections 4.2.1.9 and 4.2.1.10)."""

    subject: Fields
    path_length: int | None = 0
    """How many CAs may follow below it; None: any number."""
    permitted: tuple[x509.GeneralName, ...] = ()
    excluded: tuple[x509.GeneralName, ...] = ()


def device_certificate(  # noqa: PLR0913, PLR0917 - each is a field of the certificate
    authority: Authority,
    profile: DeviceProfile,
    name: str,
    subject_fields: Fields,
    public_key: PublicKey,
    serial: int,
    validity: Validity,
) -> x509.Certificate:
    """A device certificate. Raises AmbassadorError when it would outlive its CA, UsageError for an impossible name."""
    uri = profile.uri(name)
    san = x509.SubjectAlternativeName([_uri(uri)]) if uri else None
    builder = _leaf(make_name(profile.fields(name, subject_fields)), public_key, ExtendedKeyUsageOID.CLIENT_AUTH, san)
    return sign(authority, builder, serial, validity)


def server_certificate(
    authority: Authority, profile: ServerProfile, public_key: PublicKey, serial: int, validity: Validity
) -> x509.Certificate:
    """A server certificate. Raises AmbassadorError when it would outlive its CA, UsageError for impossible names."""
    names: list[x509.GeneralName] = [_dns(name) for name in profile.dns]
    names += [x509.IPAddress(address) for address in profile.ips]
    if not names:
        raise UsageError("a server certificate needs --dns NAME or --ip ADDRESS: clients look nowhere else (RFC 9525)")
    first = profile.dns[0] if profile.dns else str(profile.ips[0])
    common = () if len(first) > LONGEST_COMMON_NAME else (("CN", first),)
    subject = make_name((*common, *profile.subject))
    san = x509.SubjectAlternativeName(names)
    builder = _leaf(subject, public_key, ExtendedKeyUsageOID.SERVER_AUTH, san)
    return sign(authority, builder, serial, validity)


def same_again(
    authority: Authority, old: x509.Certificate, public_key: PublicKey, serial: int, validity: Validity
) -> x509.Certificate:
    """The successor of a leaf certificate: its subject, SAN and purpose (clientAuth when it names none)."""
    san, purpose = None, ExtendedKeyUsageOID.CLIENT_AUTH
    if old.version is not x509.Version.v1:
        for extension in old.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                san = extension.value
            if isinstance(extension.value, x509.ExtendedKeyUsage):
                purpose = next(iter(extension.value))
    return sign(authority, _leaf(old.subject, public_key, purpose, san), serial, validity)


def sign(authority: Authority, builder: x509.CertificateBuilder, serial: int, validity: Validity) -> x509.Certificate:
    """Add issuer, serial, dates and AKI, and sign. Raises AmbassadorError when it would outlive its CA."""
    authority.check_outlives(validity)
    return (
        builder.issuer_name(authority.certificate.subject)
        .serial_number(serial)
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(authority.key_identifier, critical=False)
        .sign(authority.key, authority.hash_algorithm)
    )


def _leaf(
    subject: x509.Name,
    public_key: PublicKey,
    purpose: x509.ObjectIdentifier,
    san: x509.SubjectAlternativeName | None,
) -> x509.CertificateBuilder:
    # keyEncipherment is what RSA servers of TLS 1.2 without forward secrecy need; nobody else.
    enciphers = isinstance(public_key, rsa.RSAPublicKey) and purpose == ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_encipherment=enciphers), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    return _with_san(builder, subject, list(san or ()))


def _with_san(
    builder: x509.CertificateBuilder, subject: x509.Name, names: list[x509.GeneralName]
) -> x509.CertificateBuilder:
    """Add the SAN: critical when the subject is empty (RFC 5280 section 4.2.1.6), with its e-mails (4.1.2.6)."""
    for item in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        email = x509.RFC822Name(str(item.value))
        names += [email] if email not in names else []
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject)) if names else builder


def root_certificate(profile: AuthorityProfile, key: PrivateKey, serial: int, validity: Validity) -> x509.Certificate:
    """A CA certificate signed by its own key."""
    builder = authority_builder(profile, key.public_key()).issuer_name(make_name(profile.subject))
    builder = builder.serial_number(serial)
    builder = builder.not_valid_before(validity.not_before).not_valid_after(validity.not_after)
    return builder.sign(key, hash_algorithm(key))


def issuing_certificate(
    issuer: Authority, profile: AuthorityProfile, public_key: PublicKey, serial: int, validity: Validity
) -> x509.Certificate:
    """A CA certificate signed by the CA above. Raises AmbassadorError when that one may not, or ends before."""
    if issuer.certificate.version is not x509.Version.v1:
        above = issuer.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if above.path_length is not None and above.path_length <= (profile.path_length or 0):
            raise AmbassadorError(f"the CA {issuer.name} has path length {above.path_length}: no such CA may follow it")
    return sign(issuer, authority_builder(profile, public_key), serial, validity)


def authority_builder(profile: AuthorityProfile, public_key: PublicKey) -> x509.CertificateBuilder:
    """All of a CA certificate but issuer, serial, dates and AKI."""
    subject = make_name(profile.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=profile.path_length), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True, digital_signature=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    builder = _with_san(builder, subject, [])
    if not profile.permitted and not profile.excluded:
        return builder
    constraints = x509.NameConstraints(list(profile.permitted) or None, list(profile.excluded) or None)
    return builder.add_extension(constraints, critical=True)


def _usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _dns(name: str) -> x509.GeneralName:
    try:
        return x509.DNSName(name)
    except ValueError:
        raise UsageError(f"--dns {name}: write a name with other letters than ASCII as its xn--… form") from None


def _uri(uri: str) -> x509.GeneralName:
    try:
        return x509.UniformResourceIdentifier(uri)
    except ValueError as error:
        raise UsageError(f"SAN URI {uri!r}: {error}") from error
