"""A reader who types what the pages on certificates say gets what they promise."""

from pathlib import Path

from support.pages import DOCS, run_page
from support.pki_cli import openssl


def test_the_factory_page_ends_in_ten_thousand_certificates_handed_over_and_shredded(tmp_path: Path) -> None:
    said = run_page(DOCS / "factory" / "certificates.md", tmp_path)
    assert "10000 whole, 0 faults" in said
    assert "Verified OK" in said, "openssl alone checks the manifest"
    assert "10000 without private key, 0 faults" in said
    order = tmp_path / "order-1"
    assert len((order / "manifest.jsonl").read_text().splitlines()) == 10_000
    assert not list(order.glob("*/*private*"))
    pki = tmp_path / "factory" / "pki"
    for certificate in ("lab-2.pem", "order-1/cam-010000/mender-cert.pem"):
        openssl("verify", "-purpose", "sslclient", "-CAfile", pki / "trust.pem", tmp_path / certificate)
    server = tmp_path / "gateway" / "server.crt"
    root = pki / "root" / "ca-cert.pem"
    openssl("verify", "-purpose", "sslserver", "-CAfile", root, "-untrusted", server, server)
    assert "ENCRYPTED" in (pki / "issuing" / "ca-private.key").read_text()


def test_the_page_on_tokens_makes_a_ca_whose_keys_never_leave_theirs(tmp_path: Path) -> None:
    said = run_page(DOCS / "factory" / "hsm.md", tmp_path)
    assert "never extractable" in said
    assert "order-1/cam-000001/mender-cert.pem: OK" in said
    assert not list((tmp_path / "factory").glob("**/*private*"))


def test_the_page_on_images_ends_in_patches_that_pass_the_audit(tmp_path: Path) -> None:
    said = run_page(DOCS / "factory" / "images.md", tmp_path)
    assert "100 images: 100 ok, 0 warned, 0 failed" in said
    assert "100 whole, 0 faults" in said
    assert "mac=02:00:00:00:00:2a" in said
    assert '"Certificate": "/data/id/cert.pem"' in said
    assert len(list((tmp_path / "order-1").glob("*.patch"))) == 100


def test_the_page_on_revocation_ends_in_a_list_openssl_enforces(tmp_path: Path) -> None:
    said = run_page(DOCS / "operator" / "revocation.md", tmp_path)
    assert "dev-0008/mender-cert.pem: OK" in said, "its hold was lifted"
    pki = tmp_path / "state" / "pki"
    trust, crl = pki / "trust.pem", pki / "issuing" / "crl.pem"
    for device in ("cam-1", "lot-3/dev-0007"):
        certificate = tmp_path / device / "mender-cert.pem"
        seen = openssl("verify", "-crl_check", "-CAfile", trust, "-CRLfile", crl, certificate, code=2)
        assert "certificate revoked" in seen
