"""Lint stops what breaks RFC 5280, and takes certificates of one shape as one."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.issue import KeyKind, PrivateKey, make_key
from mtls_ambassador.pki.lint import LintGate, check_crl, lint, shape
from mtls_ambassador.pki.profiles import (
    AuthorityProfile,
    DeviceProfile,
    ServerProfile,
    device_certificate,
    make_validity,
    root_certificate,
    server_certificate,
)
from mtls_ambassador.pki.serial import new_serial

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KEY = make_key(KeyKind.ED25519)
PROFILE = AuthorityProfile((("CN", "Root"),))
ROOT = Authority("root", root_certificate(PROFILE, KEY, new_serial(), make_validity(NOW, 7300)), (), KEY)


def device(
    name: str,
    profile: DeviceProfile | None = None,
    key: PrivateKey | None = None,
    fields: tuple[tuple[str, str], ...] = (),
    now: dt.datetime = NOW,
) -> bytes:
    profile = profile or DeviceProfile()
    public = (key or make_key()).public_key()
    made = device_certificate(ROOT, profile, name, fields, public, new_serial(), profile.validity(now))
    return made.public_bytes(Encoding.DER)


def test_certificates_that_differ_by_serial_key_and_letters_have_one_shape() -> None:
    assert shape(device("dev-000001")) == shape(device("abc-987654"))
    gate = LintGate()
    for number in range(20):
        gate.check(device(f"dev-{number:06}"))
    assert gate.linted == 1


@pytest.mark.parametrize(
    "other",
    [
        device("dev-00002"),
        device("dev_000002"),
        device("DEV-000002"),
        device("dev-000002", DeviceProfile(days=100)),
        device("dev-000002", DeviceProfile(san_uri="")),
        device("dev-000002", key=make_key(KeyKind.RSA)),
        device("dev-000002", key=make_key(KeyKind.P384)),
        device("dev-000002", fields=(("O", "X"),)),
        device("dev-000002", now=NOW + dt.timedelta(days=1)),
    ],
    ids=["length", "punctuation", "case", "days", "no-san", "rsa", "p384", "field", "date"],
)
def test_whatever_else_differs_makes_another_shape(other: bytes) -> None:
    assert shape(device("dev-000001")) != shape(other)


def test_countries_are_not_taken_for_alike() -> None:
    assert shape(device("d", fields=(("C", "NO"),))) != shape(device("d", fields=(("C", "SE"),)))
    assert shape(device("d", fields=(("L", "NO"),))) == shape(device("d", fields=(("L", "SE"),)))


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 40, 200])
def test_what_is_no_certificate_has_a_shape_and_is_refused(cut: int) -> None:
    data = device("dev")[:cut]
    assert len(shape(data)) == 32
    with pytest.raises(AmbassadorError, match="not let out"):
        LintGate().check(data)


def test_a_urn_is_a_uri_but_not_everything_is() -> None:
    assert not [item for item in lint(device("dev", DeviceProfile(san_uri="urn:x-a:{name}"))) if item.stops]
    for uri in ("dev", "urn:a b", "no scheme:x", "urn:x-a:"):
        with pytest.raises(AmbassadorError, match="invalid_uri_syntax"):
            LintGate().check(device("dev", DeviceProfile(san_uri=uri)))


@pytest.mark.parametrize(("host", "good"), [("localhost", True), ("a-1", True), ("-a", False), ("a_b", False)])
def test_a_host_without_a_dot_is_one(host: str, good: bool) -> None:  # noqa: FBT001 - a parameter
    profile = ServerProfile((host,))
    public = make_key().public_key()
    made = server_certificate(ROOT, profile, public, new_serial(), profile.validity(NOW))
    assert good == (not [item for item in lint(made.public_bytes(Encoding.DER)) if item.stops])


def test_a_refused_shape_is_refused_again() -> None:
    gate = LintGate()
    for _ in range(2):
        with pytest.raises(AmbassadorError, match="ERROR pkix"):
            gate.check(device("dev", DeviceProfile(san_uri="relative")))


def test_a_crl_without_a_number_is_refused() -> None:
    """RFC 5280 section 5.2.3: CRL issuers must include the CRL number."""
    key = make_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name)
    builder = builder.last_update(NOW).next_update(NOW + dt.timedelta(days=1))
    with pytest.raises(AmbassadorError, match="the CRL breaks RFC 5280"):
        check_crl(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    good = builder.add_extension(x509.CRLNumber(1), critical=False).add_extension(aki, critical=False)
    check_crl(good.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
