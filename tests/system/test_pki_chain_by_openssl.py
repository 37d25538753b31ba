"""openssl verifies every certificate made here, from CAs of every kind of key, and signs requests it made."""

import stat

import pytest

from mtls_ambassador.pki.issue import KeyKind
from support.pki_cli import PkiCli, openssl


@pytest.fixture
def cli(tmp_path_factory: pytest.TempPathFactory) -> PkiCli:
    return PkiCli(tmp_path_factory.mktemp("factory"))


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.RSA, KeyKind.ED25519])
def test_server_device_signed_request_and_renewed_one_verify(cli: PkiCli, kind: KeyKind) -> None:
    cli.run("init", "--no-passphrase", "--organization", "My Organization", "--country", "NO", "--key-type", kind)
    cli.run("server", "my-server.com", "--dns", "my-server.com", "--ip", "127.0.0.1", "--key-type", kind)
    cli.run("device", "dev-1", "--key-type", kind)
    cli.run("renew", "dev-1", "--out", "next.pem")
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", cli.folder / "k.pem", "-subj", "/CN=dev-2",
            "-out", cli.folder / "dev-2.req")  # fmt: skip
    cli.run("sign", "dev-2.req")
    strict = ("verify", "-x509_strict", "-CAfile", cli.pki / "root" / "ca-cert.pem")
    between = ("-untrusted", cli.pki / "issuing" / "ca-cert.pem")
    for name in ("dev-1/mender-cert.pem", "next.pem", "dev-2.pem"):
        openssl(*strict, *between, "-purpose", "sslclient", cli.folder / name)
    server = cli.folder / "my-server.com" / "server.crt"
    openssl(*strict, "-untrusted", server, "-purpose", "sslserver", "-verify_ip", "127.0.0.1", server)
    for key in ("dev-1/mender-cert-private.pem", "my-server.com/server.key"):
        assert stat.S_IMODE((cli.folder / key).stat().st_mode) == 0o600
        openssl("pkey", "-in", cli.folder / key, "-noout", "-check")
    serials = [item["serial"] for item in cli.records()]
    assert len(set(serials)) == len(serials) == 6


def test_one_ca_for_all_works_too_with_no_end(cli: PkiCli) -> None:
    cli.run("init", "--single", "--no-passphrase", "--no-expiry", "--common-name", "My CA")
    cli.run("device", "dev-1", "--no-expiry")
    text = openssl("x509", "-in", cli.folder / "dev-1" / "mender-cert.pem", "-noout", "-enddate", "-issuer")
    assert text == "notAfter=Dec 31 23:59:59 9999 GMT\nissuer=CN = My CA\n"
    openssl("verify", "-x509_strict", "-CAfile", cli.pki / "trust.pem", cli.folder / "dev-1" / "mender-cert.pem")
