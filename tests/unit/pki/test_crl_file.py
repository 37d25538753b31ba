"""CRLs as files give them: of every CA of the bundle, whole, signed, the newest of each."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
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


def test_a_ca_that_has_expired_needs_none_and_may_have_one() -> None:
    expired = make_ca("Expired", validity(-9, -1))
    assert parsed(crl(ONE), ONE, expired).count == 0
    assert parsed(crl(ONE) + crl(expired, [1]), ONE, expired).count == 1
    cas = [x509.load_pem_x509_certificate(ca.certificate_pem) for ca in (ONE, expired)]
    with pytest.raises(FaultsError, match="there is no CRL of CN=Expired"):
        parse_crls(crl(ONE), cas, NOW, needs_expired=True)


def built(*extensions: tuple[x509.ExtensionType, bool]) -> bytes:
    """A CRL that another program made."""
    ca = x509.load_pem_x509_certificate(ONE.certificate_pem)
    builder = x509.CertificateRevocationListBuilder(ca.subject, NOW, NOW + dt.timedelta(days=1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    assert isinstance(ONE.key, ec.EllipticCurvePrivateKey)
    return builder.sign(ONE.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("critical", [True, False])
def test_a_part_of_a_list_is_refused(*, critical: bool) -> None:
    """It names fewer than are revoked, and would be the newest."""
    delta = built((x509.CRLNumber(2), False), (x509.DeltaCRLIndicator(1), critical))
    assert "is a part of one" in fault(crl(ONE, [1]) + delta, ONE)
    point = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    assert "is a part of one" in fault(built((point, critical)), ONE)


def test_a_critical_extension_that_nobody_knows_is_refused() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert "has a critical extension 1.2.3.4" in fault(built((odd, True)), ONE)
    assert parsed(built((odd, False), (x509.CRLNumber(1), False)), ONE).count == 0


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
