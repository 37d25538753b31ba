"""Certificate and key files as people have them."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import KeyKind, Validity, make_ca
from mtls_ambassador.sandbox.pairs import read_certificates, read_key, read_pair
from support.pki import run_seed_commands

VALID = Validity.days(dt.datetime.now(dt.UTC), 1)


@pytest.mark.parametrize("kind", KeyKind)
def test_a_pair_of_every_kind(tmp_path: Path, kind: KeyKind) -> None:
    pair = make_ca("CA", VALID, kind=kind)
    certificate, key = tmp_path / "c", tmp_path / "k"
    certificate.write_bytes(b"a comment\n" + pair.certificate_pem + pair.certificate_pem)
    key.write_bytes(pair.key_pem)
    assert read_pair(certificate, key).certificate == pair.certificate
    assert len(read_certificates(certificate)) == 2


def test_what_the_seeds_commands_make(tmp_path: Path) -> None:
    run_seed_commands(tmp_path)
    for name in ("ca", "server", "device"):
        read_pair(tmp_path / f"{name}-cert.pem", tmp_path / f"{name}-private.key")


def test_a_passphrase_for_a_key_that_needs_none_does_no_harm(tmp_path: Path) -> None:
    key, passphrase = tmp_path / "k", tmp_path / "p"
    key.write_bytes(make_ca("CA", VALID).key_pem)
    passphrase.write_text("anything\n")
    read_key(key, passphrase)


def test_a_traditional_encrypted_key_opens_with_its_passphrase(tmp_path: Path) -> None:
    key, passphrase = tmp_path / "k", tmp_path / "p"
    passphrase.write_text("secret\r\n")
    make = ["openssl", "genrsa", "-aes128", "-traditional", "-passout", "pass:secret", "-out", str(key), "2048"]
    subprocess.run(make, check=True, capture_output=True)
    read_key(key, passphrase)
    with pytest.raises(AmbassadorError, match="is encrypted"):
        read_key(key)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    odd = tmp_path / "dsa.key"
    key = dsa.generate_private_key(2048)
    odd.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(AmbassadorError, match=r"dsa\.key: is of a kind Mender does not use"):
        read_key(odd)
    with pytest.raises(AmbassadorError, match="gone: No such file"):
        read_key(tmp_path / "gone")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(AmbassadorError, match=r"broken\.pem: the certificate at line 1 cannot be read"):
        read_certificates(broken)
