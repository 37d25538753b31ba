"""A CA whose keys never leave a PKCS#11 token (SoftHSM) does all that a CA in files does."""

import subprocess
from pathlib import Path

import pytest

from support.pki_cli import PkiCli, openssl

MODULE = next(
    path for path in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so") if Path(path).exists()
)
PIN = "648219"


@pytest.fixture
def cli(tmp_path: Path) -> PkiCli:
    """A factory with a token named `factory`."""
    (tmp_path / "tokens").mkdir()
    config = tmp_path / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    environ = {"SOFTHSM2_CONF": str(config), "MTLS_CA_PIN": PIN, "MTLS_PKCS11_MODULE": MODULE}
    command = ["softhsm2-util", "--init-token", "--free", "--label", "factory", "--so-pin", "1234", "--pin", PIN]
    subprocess.run(command, env=environ, check=True, capture_output=True)
    return PkiCli(tmp_path, environ)


def verify(cli: PkiCli, name: str) -> None:
    openssl("verify", "-x509_strict", "-CAfile", cli.pki / "root" / "ca-cert.pem",
            "-untrusted", cli.pki / "issuing" / "ca-cert.pem", cli.folder / name)  # fmt: skip


def uri(name: str) -> str:
    return f"pkcs11:token=factory;object={name}"


@pytest.mark.parametrize("kind", ["p256", "rsa"])
def test_keys_made_in_the_token_sign_everything(cli: PkiCli, kind: str) -> None:
    cli.run("init", "--key-type", kind, "--key-uri", uri("issuing"), "--root-key-uri", uri("root"))
    cli.run("device", "dev-1")
    cli.run("batch", "--count", "20", "--name", "lot-{n:02}", "--out", "lot")
    cli.run("revoke", "--name", "dev-1", "--reason", "keyCompromise", "--yes")
    cli.run("crl")
    verify(cli, "dev-1/mender-cert.pem")
    verify(cli, "lot/lot-20/mender-cert.pem")
    openssl("crl", "-in", cli.pki / "issuing" / "crl.pem", "-noout", "-CAfile", cli.pki / "issuing" / "ca-cert.pem")
    kept = [path for path in cli.pki.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"PRIVATE KEY" in path.read_bytes() or PIN.encode() in path.read_bytes()]
    assert (cli.pki / "issuing" / "key.uri").read_text() == f"{uri('issuing')}?module-path={MODULE}\n"


def test_a_key_that_is_in_the_token_already_is_used_by_another_ca_s_import(cli: PkiCli) -> None:
    cli.run("init", "--single", "--key-uri", uri("ca"))
    certificate = cli.pki / "root" / "ca-cert.pem"
    said = cli.run("import", "--pki", "other", "--cert", certificate, "--key-uri", uri("ca"))
    assert "nothing weak about it" in said
    cli.run("device", "dev-1", "--pki", "other")
    openssl("verify", "-CAfile", certificate, cli.folder / "dev-1" / "mender-cert.pem")


def test_what_is_wrong_with_token_key_or_pin_is_told(cli: PkiCli) -> None:
    cli.run("init", "--single", "--key-uri", uri("ca"))
    wrong = PkiCli(cli.folder, {**cli.environ, "MTLS_CA_PIN": "000000"}).run("device", "dev-1", code=1)
    assert "wrong PIN" in wrong
    assert "000000" not in wrong
    none = {name: value for name, value in cli.environ.items() if name != "MTLS_CA_PIN"}
    assert "MTLS_CA_PIN" in PkiCli(cli.folder, none).run("device", "dev-1", code=1)
    certificate = cli.pki / "root" / "ca-cert.pem"
    arguments = ("import", "--name", "x", "--cert", certificate, "--key-uri")
    assert "no such private key" in cli.run(*arguments, uri("nobody"), code=1)
    assert "no such token" in cli.run(*arguments, "pkcs11:token=lost;object=ca", code=1)
    assert "must not hold a PIN" in cli.run(*arguments, f"{uri('ca')}?pin-value=1", code=2)
    cli.run("init", "--pki", "second", "--single", "--key-uri", uri("another"))
    assert "is not that of the certificate" in cli.run(*arguments, uri("another"), code=1)
    assert not (cli.pki / "x").exists()
