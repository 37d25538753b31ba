"""Requests made by openssl are read; forged and useless ones are refused."""

from pathlib import Path

import pytest

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.csr import Csr, read_csr
from mtls_ambassador.pki.keys import describe_key
from support.pki_cli import openssl

KEYS = {
    "EC secp256r1": ("EC", "ec_paramgen_curve:P-256"),
    "EC secp384r1": ("EC", "ec_paramgen_curve:P-384"),
    "RSA 2048": ("RSA", "rsa_keygen_bits:2048"),
    "Ed25519": ("ED25519", ""),
}


def make(folder: Path, kind: str, option: str, *args: str) -> Path:
    key, path = folder / "key.pem", folder / "device.req"
    openssl("genpkey", "-algorithm", kind, *(("-pkeyopt", option) if option else ()), "-out", key)
    openssl("req", "-new", "-key", key, "-subj", "/CN=dev-1/O=Theirs", "-out", path, *args)
    return path


def read(path: Path) -> Csr:
    return read_csr(path.read_bytes(), path)


@pytest.mark.parametrize("kind", KEYS)
def test_requests_of_every_kind_of_key_are_read(kind: str, tmp_path: Path) -> None:
    csr = read(make(tmp_path, *KEYS[kind]))
    assert describe_key(csr.public_key) == kind
    assert csr.subject == (("CN", "dev-1"), ("O", "Theirs"))
    assert csr.common_name == "dev-1"


def test_der_and_the_names_asked_for_are_read(tmp_path: Path) -> None:
    names = ("-addext", "subjectAltName=DNS:a.example,IP:127.0.0.1")
    csr = read(make(tmp_path, "EC", "ec_paramgen_curve:P-256", "-outform", "DER", *names))
    assert csr.dns == ("a.example",)
    assert [str(item) for item in csr.ips] == ["127.0.0.1"]


def test_a_request_whose_signature_is_not_by_its_key_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path, "EC", "ec_paramgen_curve:P-256", "-outform", "DER")
    path.write_bytes(path.read_bytes().replace(b"dev-1", b"dev-2"))
    with pytest.raises(AmbassadorError, match="forged"):
        read(path)


@pytest.mark.parametrize(
    ("kind", "option", "seen"),
    [("RSA", "rsa_keygen_bits:1024", "RSA with 1024 bits"), ("EC", "ec_paramgen_curve:secp256k1", "curve secp256k1")],
)
def test_useless_keys_are_refused(tmp_path: Path, kind: str, option: str, seen: str) -> None:
    with pytest.raises(AmbassadorError, match=seen):
        read(make(tmp_path, kind, option))


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n"])
def test_what_is_no_request_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(AmbassadorError, match="no certificate request"):
        read_csr(data, tmp_path)
