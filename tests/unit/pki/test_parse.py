"""Certificates as devices have them, X.509 v1 included, and what is none."""

import base64
import contextlib
import datetime as dt
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.pki.issue import KeyKind, make_ca, make_device, make_key
from mtls_ambassador.pki.parse import device_certificate, device_certificate_from_header
from support.pki import run_seed_commands, validity

CA = make_ca("CA", validity())


def certificate(subject: x509.Name, *extensions: x509.ExtensionType) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    dates = validity()
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=subject, public_key=key.public_key())
    builder = builder.serial_number(0xABC).not_valid_before(dates.not_before).not_valid_after(dates.not_after)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


@pytest.mark.parametrize("kind", list(KeyKind))
def test_every_kind_of_key(kind: KeyKind) -> None:
    pair = make_device(CA, "cam-1", validity(), key=make_key(kind))
    read = device_certificate_from_header(quote(pair.certificate_pem))
    assert (read.subject, read.issuer) == ("CN=cam-1", "CN=CA")
    assert read.serial == pair.certificate.serial_number
    assert read.serial_hex == f"{read.serial:x}"
    assert read.fingerprint_sha256 == pair.certificate.fingerprint(hashes.SHA256()).hex()
    assert read.not_before.tzinfo is dt.UTC
    assert read.names == {
        "cn": ("cam-1",),
        "o": (),
        "ou": (),
        "serial": (read.serial_hex,),
        "san_uri": (),
        "san_dns": (),
    }


def test_the_key_names_the_device_over_renewals() -> None:
    key = make_key()
    one, other = (device_certificate(make_device(CA, n, validity(), key=key).certificate_pem) for n in ("a", "b"))
    assert one.spki_sha256 == other.spki_sha256
    assert one.fingerprint_sha256 != other.fingerprint_sha256


def test_the_seeds_certificates_of_version_1(tmp_path: Path) -> None:
    run_seed_commands(tmp_path)
    pem = (tmp_path / "device-cert.pem").read_bytes()
    assert x509.load_pem_x509_certificate(pem).version is x509.Version.v1
    read = device_certificate(pem)
    assert read.names["cn"] == ("my-device-hostname.com",)
    assert (read.names["o"], read.names["san_dns"]) == (("My Organization",), ())


def test_every_name_a_template_may_use() -> None:
    subject = name(
        (NameOID.COMMON_NAME, "a"),
        (NameOID.COMMON_NAME, "b"),
        (NameOID.ORGANIZATION_NAME, "Acme, Inc."),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "unit"),
    )
    names = [x509.DNSName("a.example"), x509.UniformResourceIdentifier("urn:x:1"), x509.DNSName("b.example")]
    read = device_certificate(certificate(subject, x509.SubjectAlternativeName(names)))
    assert read.names == {
        "cn": ("a", "b"),
        "o": ("Acme, Inc.",),
        "ou": ("unit",),
        "serial": ("abc",),
        "san_uri": ("urn:x:1",),
        "san_dns": ("a.example", "b.example"),
    }
    assert read.subject == r"OU=unit,O=Acme\, Inc.,CN=b,CN=a"


def test_subjects_that_look_alike_are_not_alike() -> None:
    one = device_certificate(certificate(name((NameOID.COMMON_NAME, "a,O=b"))))
    other = device_certificate(certificate(name((NameOID.ORGANIZATION_NAME, "b"), (NameOID.COMMON_NAME, "a"))))
    assert one.subject != other.subject


def test_no_subject_at_all() -> None:
    assert device_certificate(certificate(x509.Name([]))).subject == ""


GOOD = make_device(CA, "cam-1", validity()).certificate_pem


@pytest.mark.parametrize(
    "header",
    [
        "",
        "-",
        "%ff",
        "\udcff",
        quote(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        quote(GOOD.replace(b"CERTIFICATE", b"PUBLIC KEY")),
        quote(GOOD)[:-200],
    ],
)
def test_what_is_no_certificate(header: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        device_certificate_from_header(header)


def der_of(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def pem_of(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


VERSION_3 = bytes.fromhex("a003020102")
P256, UNKNOWN = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030163")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (VERSION_3, bytes.fromhex("a003020101")),
        (VERSION_3, bytes.fromhex("a003020107")),
        (P256, UNKNOWN),
        (bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d0263")),
    ],
)
def test_certificates_no_library_reads(old: bytes, new: bytes) -> None:
    der = der_of(GOOD)
    assert old in der
    with pytest.raises(ValueError, match=r"\S"):
        device_certificate(pem_of(der.replace(old, new)))


def test_an_extension_twice() -> None:
    key_identifier = x509.SubjectKeyIdentifier(b"1" * 20)
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.15"), b"\x03\x02\x07\x80")
    pem = certificate(name((NameOID.COMMON_NAME, "a")), key_identifier, other)
    twice = der_of(pem).replace(bytes.fromhex("0603551d0f"), bytes.fromhex("0603551d0e"))
    with pytest.raises(ValueError, match=r"\S"):
        device_certificate(pem_of(twice))


@pytest.mark.filterwarnings("ignore")  # a serial below 1 is read with a warning
@given(st.integers(0, len(der_of(GOOD)) - 1), st.integers(0, 255))
def test_one_wrong_byte_is_read_or_refused_and_nothing_else(place: int, byte: int) -> None:
    der = bytearray(der_of(GOOD))
    der[place] = byte
    with contextlib.suppress(ValueError):
        device_certificate(pem_of(bytes(der)))


def test_a_name_that_is_a_bit_string() -> None:
    text = bytes.fromhex("0c0563616d2d31")  # UTF8String "cam-1"
    der = der_of(GOOD)
    assert der.count(text) == 1
    with pytest.raises(ValueError, match="TypeError"):
        device_certificate(pem_of(der.replace(text, bytes.fromhex("030500") + b"cam-")))
