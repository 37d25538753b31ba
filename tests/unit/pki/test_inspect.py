import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mtls_ambassador.model.finding import Finding, Level
from mtls_ambassador.pki.inspect import inspect_ca_bundle, inspect_server
from mtls_ambassador.pki.issue import Pair, Validity, make_ca, make_device, make_key, make_server
from mtls_ambassador.pki.pem import read_pem
from support.pki import run_seed_commands

NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
YEAR = Validity.days(NOW, 365)
PAST = Validity(NOW - dt.timedelta(days=20), NOW - dt.timedelta(days=1))
FUTURE = Validity(NOW + dt.timedelta(days=1), NOW + dt.timedelta(days=400))
SOON = Validity.days(NOW, 29)
CA = make_ca("Fleet CA", YEAR)
SERVER = make_server(CA, ["gw.example.com", "192.0.2.1"], YEAR)


def levels(findings: list[Finding]) -> set[Level]:
    return {item.level for item in findings}


def bad(findings: list[Finding]) -> Finding:
    (found,) = [item for item in findings if item.level is not Level.OK]
    assert found.right
    return found


def custom(*extensions: x509.ExtensionType, common_name: str = "gw.example.com") -> Pair:
    key = make_key()
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(CA.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(YEAR.not_before)
        .not_valid_after(YEAR.not_after)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Pair(builder.sign(CA.key, hashes.SHA256()), key)


def test_a_good_server_certificate() -> None:
    findings = inspect_server(SERVER.certificate_pem, SERVER.key_pem, NOW)
    assert levels(findings) == {Level.OK}
    assert "gw.example.com, 192.0.2.1" in [item.seen for item in findings]


def test_the_seeds_certificates_work_with_a_word_about_the_san(tmp_path: Path) -> None:
    run_seed_commands(tmp_path)
    now = dt.datetime.now(dt.UTC)
    findings = inspect_server(
        (tmp_path / "server-cert.pem").read_bytes(), (tmp_path / "server-private.key").read_bytes(), now
    )
    found = bad(findings)
    assert found.level is Level.WARN
    assert "only the common name localhost and no SAN" in found.seen
    assert levels(inspect_ca_bundle((tmp_path / "ca-cert.pem").read_bytes(), now)) == {Level.OK}
    device = bad(
        inspect_ca_bundle((tmp_path / "ca-cert.pem").read_bytes() + (tmp_path / "device-cert.pem").read_bytes(), now)
    )
    assert "may make it a device's certificate" in device.seen


def test_names() -> None:
    neither = custom(common_name="")
    assert bad(inspect_server(neither.certificate_pem, neither.key_pem, NOW)).level is Level.FAIL
    san_only = custom(x509.SubjectAlternativeName([x509.DNSName("gw")]), common_name="")
    assert levels(inspect_server(san_only.certificate_pem, san_only.key_pem, NOW)) == {Level.OK}


def test_extended_key_usage_must_allow_a_server() -> None:
    san = x509.SubjectAlternativeName([x509.DNSName("gw")])
    client = custom(san, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))
    assert "serverAuth" in bad(inspect_server(client.certificate_pem, client.key_pem, NOW)).seen
    whatever = custom(san, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]))
    assert levels(inspect_server(whatever.certificate_pem, whatever.key_pem, NOW)) == {Level.OK}


@pytest.mark.parametrize(
    ("validity", "level", "seen"),
    [(PAST, Level.FAIL, "expired"), (FUTURE, Level.FAIL, "not valid yet"), (SOON, Level.WARN, "expires soon")],
)
def test_dates_of_the_server(validity: Validity, level: Level, seen: str) -> None:
    pair = make_server(CA, ["gw"], validity)
    found = bad(inspect_server(pair.certificate_pem, pair.key_pem, NOW))
    assert (found.level, found.name) == (level, "server certificate dates")
    assert seen in found.seen


def test_dates_of_the_chain() -> None:
    intermediate = make_ca("Old Issuing CA", PAST, issuer=CA)
    leaf = make_server(intermediate, ["gw"], YEAR)
    found = bad(inspect_server(leaf.certificate_pem + intermediate.certificate_pem, leaf.key_pem, NOW))
    assert (found.level, found.name) == (Level.FAIL, "server certificate chain dates")


def test_order_of_the_chain() -> None:
    intermediate = make_ca("Issuing CA", YEAR, issuer=CA)
    leaf = make_server(intermediate, ["gw"], YEAR)
    right = leaf.certificate_pem + intermediate.certificate_pem + CA.certificate_pem
    assert levels(inspect_server(right, leaf.key_pem, NOW)) == {Level.OK}
    wrong = leaf.certificate_pem + CA.certificate_pem + intermediate.certificate_pem
    assert "is not issued by certificate 2" in bad(inspect_server(wrong, leaf.key_pem, NOW)).seen
    same_name = make_ca("Issuing CA", YEAR, issuer=CA)
    forged = leaf.certificate_pem + same_name.certificate_pem
    assert "is not issued by certificate 2" in bad(inspect_server(forged, leaf.key_pem, NOW)).seen


def test_key_of_another_certificate() -> None:
    found = bad(inspect_server(SERVER.certificate_pem, make_server(CA, ["x"], YEAR).key_pem, NOW))
    assert (found.level, found.name) == (Level.FAIL, "server key")
    found = next(
        item
        for item in inspect_server(CA.certificate_pem + SERVER.certificate_pem, SERVER.key_pem, NOW)
        if item.name == "server key"
    )
    assert "belongs to certificate 2 of the file" in found.seen


@pytest.mark.parametrize("content", [b"", b"text", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_key_that_cannot_be_read(content: bytes) -> None:
    assert "no readable private key" in bad(inspect_server(SERVER.certificate_pem, content, NOW)).seen


def test_encrypted_key() -> None:
    pem = SERVER.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    assert "encrypted" in bad(inspect_server(SERVER.certificate_pem, pem, NOW)).seen


def test_weak_key() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the weak key under test
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw")]))
        .issuer_name(CA.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(YEAR.not_before)
        .not_valid_after(YEAR.not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gw")]), critical=False)
        .sign(CA.key, hashes.SHA256())
    )
    pair = Pair(certificate, key)
    assert "1024 bits" in bad(inspect_server(pair.certificate_pem, pair.key_pem, NOW)).seen


@pytest.mark.parametrize("content", [b"", b"text", CA.certificate.public_bytes(serialization.Encoding.DER)])
def test_not_pem(content: bytes) -> None:
    assert "not PEM" in bad(inspect_server(content, SERVER.key_pem, NOW)).seen
    assert "not PEM" in bad(inspect_ca_bundle(content, NOW)).seen


def test_key_where_a_certificate_should_be() -> None:
    assert "PRIVATE KEY and no certificate" in bad(inspect_server(SERVER.key_pem, SERVER.key_pem, NOW)).seen


def test_key_beside_the_certificate() -> None:
    found = bad(inspect_server(SERVER.certificate_pem + SERVER.key_pem, SERVER.key_pem, NOW))
    assert found.level is Level.WARN
    found = bad(inspect_ca_bundle(CA.certificate_pem + CA.key_pem, NOW))
    assert found.level is Level.FAIL
    assert "private key" in found.seen


def test_a_broken_certificate_is_named_by_its_line() -> None:
    broken = b"# comment\n" + CA.certificate_pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    line = 2 + CA.certificate_pem.count(b"\n")
    found = bad(inspect_ca_bundle(broken, NOW))
    assert found.level is Level.FAIL
    assert f"the certificate at line {line} cannot be read" in found.seen


def test_a_bundle_of_several() -> None:
    intermediate = make_ca("Issuing CA", YEAR, issuer=CA)
    other = make_ca("Backup CA", YEAR)
    findings = inspect_ca_bundle(b"".join(item.certificate_pem for item in (CA, intermediate, other)), NOW)
    assert levels(findings) == {Level.OK}
    assert [item.seen.partition(",")[0] for item in findings] == [
        "CN=Fleet CA (root)",
        "CN=Issuing CA (intermediate)",
        "CN=Backup CA (root)",
    ]


def test_a_device_certificate_in_the_bundle() -> None:
    leaf = make_device(CA, "device-1", YEAR)
    found = bad(inspect_ca_bundle(CA.certificate_pem + leaf.certificate_pem, NOW))
    assert found.level is Level.WARN
    assert "CN=device-1 is not a CA" in found.seen
    assert Level.FAIL in levels(inspect_ca_bundle(leaf.certificate_pem, NOW))


@pytest.mark.parametrize(
    ("validity", "seen"), [(PAST, "has expired"), (FUTURE, "is not valid yet"), (SOON, "expires soon")]
)
def test_dates_of_a_ca(validity: Validity, seen: str) -> None:
    other = make_ca("Other CA", validity)
    found = bad(inspect_ca_bundle(CA.certificate_pem + other.certificate_pem, NOW))
    assert found.level is Level.WARN
    assert seen in found.seen


def test_only_an_expired_ca_fails() -> None:
    findings = inspect_ca_bundle(make_ca("Other CA", PAST).certificate_pem, NOW)
    assert Level.FAIL in levels(findings)


def test_pem_of_openssl_with_text_before_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(CA.certificate_pem)
    text = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "ca.pem", "-text"], check=True, capture_output=True
    ).stdout
    pem = read_pem(text)
    assert pem.certificates == (CA.certificate,)
    assert pem.errors == ()


def test_a_hostile_name_cannot_forge_a_line() -> None:
    hostile = custom(x509.SubjectAlternativeName([x509.DNSName("gw")]), common_name="a\nok    all: fine")
    for item in inspect_server(hostile.certificate_pem, hostile.key_pem, NOW):
        assert "\n" not in str(item)
