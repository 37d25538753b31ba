"""Filled templates: byte for byte what the builder makes of the same values."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.pki.issue import KeyKind, Pair, Validity, make_ca, make_key
from mtls_ambassador.pki.template import Filling, Template, inner, parts, tlv

VALIDITY = Validity.days(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 365)
CA = make_ca("CA", VALIDITY)


def built(ca: Pair, kind: KeyKind, serial: int, name: str, organization: str) -> x509.Certificate:
    key = make_key(kind).public_key()
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    return (
        x509.CertificateBuilder(ca.certificate.subject, subject, key, serial, VALIDITY.not_before, VALIDITY.not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:x:{name}")]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


def filling_of(certificate: x509.Certificate) -> Filling:
    return Filling(
        certificate.serial_number,
        certificate.subject.public_bytes(),
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.public_bytes(),
    )


@given(
    st.integers(1, 2**159 - 1), st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=64)
)
def test_equals_the_builder(serial: int, name: str) -> None:
    example = Template(built(CA, KeyKind.P256, 1, "example", "Acme"))
    certificate = built(CA, KeyKind.P256, serial, name, "Ørsted" * (serial % 11 + 1))
    assert example.fill(filling_of(certificate)) == certificate.tbs_certificate_bytes


@pytest.mark.parametrize("kind", list(KeyKind))
def test_equals_the_builder_for_every_kind_of_key(kind: KeyKind) -> None:
    example = Template(built(CA, KeyKind.P256, 1, "example", "Acme"))
    certificate = built(CA, kind, 255, "dev", "Other")
    tbs = example.fill(filling_of(certificate))
    assert tbs == certificate.tbs_certificate_bytes
    assert example.certificate(tbs, certificate.signature) == certificate.public_bytes(Encoding.DER)


def test_signed_template_is_a_certificate() -> None:
    template = Template(built(CA, KeyKind.P256, 1, "example", "Acme"))
    assert isinstance(CA.key, ec.EllipticCurvePrivateKey)
    tbs = template.fill(filling_of(built(CA, KeyKind.P384, 77, "dev", "Acme")))
    certificate = x509.load_der_x509_certificate(template.certificate(tbs, CA.key.sign(tbs, ec.ECDSA(hashes.SHA256()))))
    certificate.verify_directly_issued_by(CA.certificate)
    assert certificate.serial_number == 77


@given(st.integers(0, 255), st.lists(st.binary(max_size=70_000), max_size=3))
def test_values_read_back(tag: int, contents: list[bytes]) -> None:
    values = [tlv(tag, content) for content in contents]
    assert parts(b"".join(values)) == values
    assert [inner(value) for value in values] == contents
