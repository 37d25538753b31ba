"""What goes into each certificate, read back by openssl, the linter and the library."""

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.issue import KeyKind, make_key
from mtls_ambassador.pki.lint import lint
from mtls_ambassador.pki.profiles import (
    NO_EXPIRY,
    AuthorityProfile,
    DeviceProfile,
    ServerProfile,
    device_certificate,
    issuing_certificate,
    make_validity,
    root_certificate,
    same_again,
    server_certificate,
)
from mtls_ambassador.pki.serial import new_serial
from support.pki_cli import openssl

NOW = dt.datetime.now(dt.UTC)
SEED_FIELDS = (
    ("O", "My Organization"),
    ("OU", "My Unit"),
    ("emailAddress", "myusername@example.com"),
    ("C", "NO"),
    ("L", "Oslo"),
    ("ST", "Oslo"),
)


def make_root(kind: KeyKind = KeyKind.P256, days: int | None = 7300, path_length: int | None = 1) -> Authority:
    key = make_key(kind)
    profile = AuthorityProfile((("CN", "Root"), *SEED_FIELDS), path_length)
    certificate = root_certificate(profile, key, new_serial(), make_validity(NOW, days))
    return Authority("root", certificate, (), key)


def make_below(root: Authority, kind: KeyKind = KeyKind.P256, days: int = 7300) -> Authority:
    key = make_key(kind)
    profile = AuthorityProfile((("CN", "Issuing"),))
    certificate = issuing_certificate(root, profile, key.public_key(), new_serial(), make_validity(NOW, days))
    return Authority("issuing", certificate, (root.certificate, *root.chain), key)


def make_device(
    authority: Authority, profile: DeviceProfile | None = None, kind: KeyKind = KeyKind.P256
) -> x509.Certificate:
    profile = profile or DeviceProfile()
    key = make_key(kind).public_key()
    return device_certificate(authority, profile, "dev-1", (), key, new_serial(), profile.validity(NOW))


def make_server(authority: Authority, profile: ServerProfile, kind: KeyKind = KeyKind.P256) -> x509.Certificate:
    key = make_key(kind).public_key()
    return server_certificate(authority, profile, key, new_serial(), profile.validity(NOW))


def write(folder: Path, name: str, *certificates: x509.Certificate) -> Path:
    path = folder / f"{name}.pem"
    path.write_bytes(b"".join(item.public_bytes(Encoding.PEM) for item in certificates))
    return path


def errors_of(certificate: x509.Certificate) -> list[str]:
    return [str(item) for item in lint(certificate.public_bytes(Encoding.DER)) if item.stops]


@pytest.mark.parametrize("kind", list(KeyKind))
def test_openssl_and_the_linter_find_no_fault_in_a_chain_of_any_kind_of_key(kind: KeyKind, tmp_path: Path) -> None:
    root = make_root(kind)
    issuing = make_below(root, kind)
    device = make_device(issuing, kind=kind)
    server = make_server(issuing, ServerProfile(("my-server.com",), (ipaddress.ip_address("::1"),)), kind)
    for each in (root.certificate, issuing.certificate, device, server):
        assert not errors_of(each)
    roots, between = write(tmp_path, "root", root.certificate), write(tmp_path, "issuing", issuing.certificate)
    strict = ("verify", "-x509_strict", "-CAfile", roots, "-untrusted", between)
    openssl(*strict, "-purpose", "sslclient", write(tmp_path, "device", device))
    openssl(*strict, "-purpose", "sslserver", "-verify_hostname", "my-server.com", write(tmp_path, "server", server))
    openssl(*strict, "-purpose", "sslserver", write(tmp_path, "device", device), code=2)


def test_a_device_is_named_in_subject_and_alternative_name() -> None:
    device = make_device(make_root(), DeviceProfile((("CN", "{name}"), ("O", "My Organization"))))
    assert device.subject.rfc4514_string() == "O=My Organization,CN=dev-1"
    names = device.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:x-mender-device:dev-1"]
    usage = device.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_fields_of_a_row_go_before_those_of_the_template() -> None:
    profile = DeviceProfile((("CN", "{name}"), ("O", "Template")))
    assert profile.fields("n", (("O", "Row"), ("L", "Oslo"))) == (("CN", "n"), ("O", "Row"), ("L", "Oslo"))


def test_an_e_mail_in_the_subject_is_in_the_alternative_name_too() -> None:
    root = make_root()
    names = root.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["myusername@example.com"]


def test_a_device_may_have_no_well_defined_end_if_its_ca_has_none() -> None:
    device = make_device(make_root(days=None), DeviceProfile(days=None))
    assert device.not_valid_after_utc == NO_EXPIRY
    assert b"99991231235959Z" in device.public_bytes(Encoding.DER)
    assert not errors_of(device)


@pytest.mark.parametrize("days", [7301, None])
def test_a_leaf_that_outlives_its_ca_is_refused(days: int | None) -> None:
    with pytest.raises(AmbassadorError, match="would outlive its CA CN=Issuing, which ends"):
        make_device(make_below(make_root()), DeviceProfile(days=days))


def test_a_leaf_that_outlives_the_root_alone_is_refused_and_so_is_such_a_ca() -> None:
    short = make_root(days=10)
    issuing = Authority("issuing", make_below(make_root()).certificate, (short.certificate,), make_key())
    with pytest.raises(AmbassadorError, match="Root, which ends"):
        make_device(issuing, DeviceProfile(days=11))
    with pytest.raises(AmbassadorError, match="would outlive"):
        make_below(short, days=11)
    assert issuing.capped(make_validity(NOW, 5000)).not_after == short.certificate.not_valid_after_utc


def test_not_before_is_back_dated() -> None:
    profile = DeviceProfile(backdate=dt.timedelta(days=400))
    assert make_device(make_root(), profile).not_valid_before_utc == NOW.replace(microsecond=0) - dt.timedelta(days=400)
    with pytest.raises(UsageError, match="is no date"):
        make_validity(NOW, 9_999_999)


def test_the_path_length_of_a_ca_is_kept() -> None:
    with pytest.raises(AmbassadorError, match="path length 0"):
        make_below(make_root(path_length=0))
    make_below(make_root(path_length=None))


def test_a_server_has_all_its_names_and_a_long_one_is_not_cut() -> None:
    long = f"{'a' * 60}.example.com"
    server = make_server(make_root(), ServerProfile((long,)))
    san = server.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert san.value.get_values_for_type(x509.DNSName) == [long]
    assert san.critical, "the subject is empty"
    assert not errors_of(server)
    with pytest.raises(UsageError, match="RFC 9525"):
        make_server(make_root(), ServerProfile())
    with pytest.raises(UsageError, match="xn--"):
        make_server(make_root(), ServerProfile(("blåbær.example",)))


def test_the_aki_copies_the_issuers_ski() -> None:
    """RFC 5280 section 4.2.1.1: the key identifier of the AKI is the SKI of the issuer's certificate."""
    root = make_root()
    aki = make_device(root).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    ski = root.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert aki.key_identifier == ski.digest


def test_the_next_certificate_says_what_the_old_one_did() -> None:
    root = make_root()
    old = make_server(root, ServerProfile(("my-server.com",)))
    key = make_key().public_key()
    new = same_again(root, old, key, new_serial(), make_validity(NOW, 100))
    assert new.subject == old.subject
    for kind in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage, x509.KeyUsage):
        assert new.extensions.get_extension_for_class(kind) == old.extensions.get_extension_for_class(kind)
    assert new.public_key() == key


def test_name_constraints_hold_for_servers_and_leave_devices_alone(tmp_path: Path) -> None:
    key = make_key()
    profile = AuthorityProfile((("CN", "Root"),), permitted=(x509.DNSName("example.com"),))
    root = Authority("root", root_certificate(profile, key, new_serial(), make_validity(NOW, 7300)), (), key)
    assert not errors_of(root.certificate)
    verify = ("verify", "-x509_strict", "-CAfile", write(tmp_path, "root", root.certificate))
    openssl(*verify, write(tmp_path, "good", make_server(root, ServerProfile(("my.example.com",)))))
    bad = openssl(*verify, write(tmp_path, "bad", make_server(root, ServerProfile(("other.com",)))), code=2)
    assert "permitted subtree violation" in bad
    openssl(*verify, write(tmp_path, "device", make_device(root)))
