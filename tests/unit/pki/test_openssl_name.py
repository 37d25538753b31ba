"""Names as OpenSSL prints them: held against the real one, or not certain."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mtls_ambassador.pki.openssl_name import openssl_text
from support.pki import validity

PLAIN = [
    [(NameOID.COMMON_NAME, "Acme Devices CA")],
    [(NameOID.COUNTRY_NAME, "NO"), (NameOID.ORGANIZATION_NAME, "My, Organization"), (NameOID.COMMON_NAME, "CA 1")],
    [(NameOID.COMMON_NAME, " blanks at both ends ")],
    [(NameOID.COMMON_NAME, "#1")],
    [(NameOID.COMMON_NAME, 'a+b"c\\d<e>f;g=h')],
    [(NameOID.COMMON_NAME, "Geräte ☃ 日本")],
    [(NameOID.EMAIL_ADDRESS, "ca@example.org"), (NameOID.DOMAIN_COMPONENT, "example")],
    [(NameOID.SERIAL_NUMBER, "42"), (NameOID.USER_ID, "x"), (NameOID.LOCALITY_NAME, "Oslo")],
    [(NameOID.STATE_OR_PROVINCE_NAME, "Viken"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "R/D")],
]


def name_of(parts: list[tuple[x509.ObjectIdentifier, str]]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


@pytest.mark.parametrize("parts", PLAIN, ids=lambda parts: parts[0][1])
def test_it_is_what_openssl_prints(tmp_path: Path, parts: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    name = name_of(parts)
    path = tmp_path / "name.pem"
    path.write_bytes(certificate_with(name))
    command = ["openssl", "x509", "-in", str(path), "-noout", "-subject", "-nameopt", "RFC2253"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert openssl_text(name) == printed.removeprefix("subject=").rstrip("\n")


def certificate_with(name: x509.Name) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    dates = validity()
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, dates.not_before, dates.not_after)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_what_is_not_certain_has_no_text() -> None:
    pair = x509.RelativeDistinguishedName(
        [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "b")]
    )
    assert openssl_text(x509.Name([pair])) is None
    assert openssl_text(name_of([(x509.ObjectIdentifier("1.2.3.4"), "x")])) is None
    assert openssl_text(x509.Name([])) is None
