"""Throw-away certificates: the ones the demo, simulated devices and tests show."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mtls_ambassador.pki.issue import KeyKind, Pair, Validity, make_ca, make_device, make_key, make_server
from support.pki import run_seed_commands

VALIDITY = Validity.days(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 3650)


def verify(folder: Path, ca: Pair, leaf: Pair, purpose: str) -> None:
    (folder / "ca.pem").write_bytes(ca.certificate_pem)
    (folder / "leaf.pem").write_bytes(leaf.certificate_pem)
    subprocess.run(["openssl", "verify", "-purpose", purpose, "-CAfile", "ca.pem", "leaf.pem"], cwd=folder, check=True)


@pytest.mark.parametrize("kind", KeyKind)
def test_openssl_verifies_what_is_made(tmp_path: Path, kind: KeyKind) -> None:
    ca = make_ca("CA", VALIDITY, kind=kind)
    verify(tmp_path, ca, make_device(ca, "device", VALIDITY, key=make_key(kind)), "sslclient")
    verify(tmp_path, ca, make_server(ca, ["localhost", "127.0.0.1"], VALIDITY, kind=kind), "sslserver")


def test_a_ca_of_the_seeds_commands_signs_devices_too(tmp_path: Path) -> None:
    run_seed_commands(tmp_path)
    certificate = x509.load_pem_x509_certificate((tmp_path / "ca-cert.pem").read_bytes())
    key = load_pem_private_key((tmp_path / "ca-private.key").read_bytes(), None)
    ca = Pair(certificate, key)  # type: ignore[arg-type] # the seed's key is P-256
    verify(tmp_path, ca, make_device(ca, "device", Validity.days(dt.datetime.now(dt.UTC), 30)), "sslclient")


def test_the_authority_key_identifier_is_the_issuers_subject_key_identifier() -> None:
    """RFC 5280 section 4.2.1.1: it MUST be derived from the key that signed, as the issuer's own extension names it."""
    ca = make_ca("CA", VALIDITY)
    leaf = make_device(ca, "device", VALIDITY).certificate
    aki = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    ski = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert aki.key_identifier == ski.digest


def test_a_private_key_is_not_shown() -> None:
    assert "key" not in repr(make_ca("CA", VALIDITY)).lower().replace("certificate", "")
