"""Manifests: signed so that openssl verifies them, and nothing may be changed."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import KeyKind, Validity, make_ca
from mtls_ambassador.pki.manifest import Line, sha256, sign, verify

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LINE = Line(
    "dev-1",
    0xABC,
    b"\1" * 32,
    b"\2" * 32,
    NOW,
    dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
    NOW,
    (("mac", "52:54:00:12:34:56"),),
)


def test_line_reads_back() -> None:
    text = LINE.to_json()
    assert Line.from_json(text) == LINE
    assert text.startswith('{"name":"dev-1","serial":"0ABC","certificate_sha256":"0101')
    assert '"not_after":"9999-12-31T23:59:59Z"' in text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name":"x","serial":5}'])
def test_no_line(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        Line.from_json(text)


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.RSA, KeyKind.ED25519])
def test_openssl_verifies_the_signature(tmp_path: Path, kind: KeyKind) -> None:
    ca = make_ca("CA", Validity.days(NOW, 9), kind=kind)
    manifest, signature, public = tmp_path / "m.jsonl", tmp_path / "m.jsonl.sig", tmp_path / "ca.pub"
    manifest.write_text(LINE.to_json() * 1000)
    signature.write_bytes(sign(manifest, ca.key))
    public.write_bytes(ca.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    verify(manifest, signature.read_bytes(), ca.certificate)
    by_hash: list[str | Path] = ["dgst", "-sha256", "-verify", public, "-signature", signature, manifest]
    raw: list[str | Path] = [
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        public,
        "-rawin",
        "-in",
        manifest,
        "-sigfile",
        signature,
    ]
    subprocess.run(["openssl", *(raw if kind is KeyKind.ED25519 else by_hash)], check=True, capture_output=True)


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.RSA, KeyKind.ED25519])
def test_one_changed_byte_or_another_ca_is_refused(tmp_path: Path, kind: KeyKind) -> None:
    ca, other = (make_ca("CA", Validity.days(NOW, 9), kind=kind) for _ in range(2))
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(LINE.to_json())
    signature = sign(manifest, ca.key)
    with pytest.raises(AmbassadorError, match="not signed by CN=CA, or changed"):
        verify(manifest, signature, other.certificate)
    before = sha256(manifest)
    manifest.write_text(LINE.to_json().replace("dev-1", "dev-2"))
    assert sha256(manifest) != before
    with pytest.raises(AmbassadorError, match="not signed by CN=CA, or changed"):
        verify(manifest, signature, ca.certificate)
