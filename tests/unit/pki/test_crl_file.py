"""CRLs as files give them: of every CA of the bundle, whole, signed, the newest of each."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.pki.crl_file import Crls, parse_crls
from mtls_ambassador.pki.issue import Pair, make_ca
from support.pki import validity
from support.revocation import crl

ONE, OTHER = make_ca("One", validity()), make_ca("Other", validity())
NOW = dt.datetime.now(dt.UTC)


def parsed(content: bytes, *cas: Pair) -> Crls:
    return parse_crls(content, [x509.load_pem_x509_certificate(ca.certificate_pem) for ca in cas], NOW)


def fault(content: bytes, *cas: Pair) -> str:
    with pytest.raises(FaultsError) as caught:
        parsed(content, *cas)
    return str(caught.value)


def test_several_in_one_file() -> None:
    found = parsed(crl(ONE, [1, 2]) + b"\n# a comment\n" + crl(OTHER, [3], days=2), ONE, OTHER)
    assert found.serials == {
        "CN=One": frozenset({b"%040x" % 1, b"%040x" % 2}),
        "CN=Other": frozenset({b"%040x" % 3}),
    }
    assert (found.count, found.stale) == (3, "CN=Other")
    assert dt.timedelta(days=1) < found.next_update - NOW < dt.timedelta(days=3)


def test_one_in_der() -> None:
    der = x509.load_pem_x509_crl(crl(ONE, [7])).public_bytes(Encoding.DER)
    assert parsed(der, ONE).serials == {"CN=One": frozenset({b"%040x" % 7})}


def test_of_two_of_one_ca_the_newer_counts() -> None:
    old, new = crl(ONE, [1], age=5), crl(ONE, [2], age=1)
    assert parsed(old + new, ONE).serials == parsed(new + old, ONE).serials == {"CN=One": frozenset({b"%040x" % 2})}


def test_a_ca_without_one_is_named_with_what_would_be_right() -> None:
    text = fault(crl(ONE), ONE, OTHER)
    assert "there is no CRL of CN=Other" in text
    assert "an empty one is enough" in text


def test_a_ca_that_has_expired_needs_none() -> None:
    expired = make_ca("Expired", validity(-9, -1))
    assert parsed(crl(ONE), ONE, expired).count == 0


def test_one_of_a_stranger_with_the_same_name_is_refused() -> None:
    assert "was signed by no CA of the bundle" in fault(crl(make_ca("One", validity())), ONE)


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"rubbish", crl(ONE)[:-40], crl(ONE)[:200], b"-----BEGIN X509 CRL-----\n", b"\x30\x00"]
)
def test_what_is_no_whole_list_is_refused(content: bytes) -> None:
    text = fault(content, ONE)
    assert "no whole CRL" in text or "cannot be read as a CRL" in text


def test_a_changed_list_is_refused() -> None:
    der = bytearray(x509.load_pem_x509_crl(crl(ONE, [0x1122334455667788])).public_bytes(Encoding.DER))
    at = bytes(der).index(bytes.fromhex("1122334455667788"))
    der[at] ^= 1
    assert "was signed by no CA of the bundle" in fault(bytes(der), ONE)
