"""A CRL says what RFC 5280 section 5 wants, to the library's parser and to openssl, whatever the CA's key."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import CrlEntry, RevocationReason
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.crl import CrlHead, crl_pem, make_crl, number_of
from mtls_ambassador.pki.issue import KeyKind, make_ca, make_device
from mtls_ambassador.pki.lint import lint_crl
from support.pki import validity

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, tzinfo=dt.UTC)
HEAD = CrlHead(7, NOW, NOW + dt.timedelta(days=30))
IN_CRL = [reason for reason in RevocationReason if reason is not RevocationReason.REMOVE_FROM_CRL]


def authority(kind: KeyKind = KeyKind.P256) -> Authority:
    pair = make_ca("CA", validity(), kind=kind)
    return Authority("root", pair.certificate, (), pair.key)


P256 = authority()


def entry(serial: int, reason: RevocationReason = RevocationReason.SUPERSEDED, at: dt.datetime = NOW) -> CrlEntry:
    return CrlEntry(serial, reason, at, None)


@pytest.mark.parametrize("kind", KeyKind)
def test_each_kind_of_key_signs_what_openssl_verifies(kind: KeyKind, tmp_path: Path) -> None:
    ca = authority(kind)
    crl = make_crl(ca, HEAD, [entry(1), entry(2)])
    (tmp_path / "crl.pem").write_bytes(crl_pem(crl.der))
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    command = ["openssl", "crl", "-in", "crl.pem", "-CAfile", "ca.pem", "-noout", "-text"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "verify OK" in done.stderr, done.stderr
    assert "Version 2" in done.stdout
    assert lint_crl(crl.der) == []


def test_openssl_refuses_the_revoked_and_takes_the_others(tmp_path: Path) -> None:
    pair = make_ca("CA", validity())
    ca = Authority("root", pair.certificate, (), pair.key)
    revoked, other = make_device(pair, "revoked", validity()), make_device(pair, "other", validity())
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    head = CrlHead(1, now, now + dt.timedelta(days=1))
    crl = make_crl(ca, head, [entry(revoked.certificate.serial_number, RevocationReason.KEY_COMPROMISE, now)])
    files = {"crl": crl_pem(crl.der), "ca": pair.certificate_pem, "revoked": revoked.certificate_pem}
    for name, data in (files | {"other": other.certificate_pem}).items():
        (tmp_path / name).write_bytes(data)
    command = ["openssl", "verify", "-crl_check", "-CAfile", "ca", "-CRLfile", "crl"]
    answers = {
        name: subprocess.run([*command, name], cwd=tmp_path, capture_output=True, text=True, check=False)
        for name in ("revoked", "other")
    }
    assert "certificate revoked" in answers["revoked"].stderr
    assert answers["other"].returncode == 0


@given(
    st.lists(
        st.tuples(
            st.integers(1, (1 << 159) - 1),
            st.sampled_from(IN_CRL),
            st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(9999, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
        ),
        unique_by=lambda item: item[0],
    ),
    st.integers(1, (1 << 159) - 1),
)
def test_what_is_in_it_is_read_back(items: list[tuple[int, RevocationReason, dt.datetime]], number: int) -> None:
    head = CrlHead(number, NOW, NOW + dt.timedelta(days=30))
    crl = make_crl(P256, head, [entry(*item) for item in items])
    read = x509.load_der_x509_crl(crl.der)
    assert read.is_signature_valid(P256.certificate.public_key())  # type: ignore[arg-type]  # an EC key
    assert read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number
    assert (read.last_update_utc, read.next_update_utc) == (head.this_update, head.next_update)
    found = {item.serial_number: (_reason(item), item.revocation_date_utc) for item in read}
    assert found == {serial: (reason.value, at.replace(microsecond=0)) for serial, reason, at in items}


def _reason(item: x509.RevokedCertificate) -> str:
    try:
        return item.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except x509.ExtensionNotFound:
        return "unspecified"


def test_codes_are_those_of_the_rfc() -> None:
    assert [reason.code for reason in RevocationReason] == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]


def test_without_entries_there_is_no_list() -> None:
    """RFC 5280 section 5.1.2.6."""
    crl = make_crl(P256, HEAD, [])
    assert len(x509.load_der_x509_crl(crl.der)) == 0
    assert crl.sample == crl.der
    assert lint_crl(crl.der) == []


def test_the_sample_has_one_of_each_shape() -> None:
    times = (NOW, NOW.replace(year=2051))
    entries = [
        entry(256**size + number, reason, at)
        for size in (1, 9)
        for reason in IN_CRL
        for at in times
        for number in range(9)
    ]
    crl = make_crl(P256, HEAD, entries)
    sample = x509.load_der_x509_crl(crl.sample)
    assert len(sample) == 2 * len(IN_CRL) * 2
    whole = x509.load_der_x509_crl(crl.der)
    assert [item.value for item in sample.extensions] == [item.value for item in whole.extensions]
    assert {item.severity for item in lint_crl(crl.sample)} <= {"WARNING", "NOTICE"}


def test_the_issuer_is_named_byte_for_byte_and_the_key_as_its_certificate_does() -> None:
    crl = x509.load_der_x509_crl(make_crl(P256, HEAD, []).der)
    assert crl.issuer.public_bytes() == P256.certificate.subject.public_bytes()
    own = P256.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own


def test_a_ca_without_the_right_signs_none() -> None:
    pair = make_ca("CA", validity())
    builder = x509.CertificateBuilder(
        pair.certificate.issuer,
        pair.certificate.subject,
        pair.key.public_key(),
        1,
        pair.certificate.not_valid_before_utc,
        pair.certificate.not_valid_after_utc,
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = builder.add_extension(usage, critical=True).sign(pair.key, hashes.SHA256())
    with pytest.raises(AmbassadorError, match="without cRLSign"):
        make_crl(Authority("root", certificate, (), pair.key), HEAD, [])


def test_the_number_of_a_crl_made_elsewhere() -> None:
    assert number_of(crl_pem(make_crl(P256, HEAD, []).der)) == (7, NOW)
    der = make_crl(P256, HEAD, [entry(1)]).der
    assert crl_pem(der) == x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
    with pytest.raises(ValueError, match="PEM"):
        number_of(b"no CRL")
