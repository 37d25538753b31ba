import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, x25519

from mtls_ambassador.pki.issue import KeyKind, make_key, public_key_pem
from mtls_ambassador.sandbox.keys import parse_key
from support.sandbox_caller import sign

BODY = b'{"id_data":"{}"}\n'


@pytest.mark.parametrize("kind", list(KeyKind))
def test_every_kind_signs_exactly_the_bytes(kind: KeyKind) -> None:
    key = make_key(kind)
    public, signature = parse_key(public_key_pem(key)), sign(key, BODY)
    assert public.verifies(signature, BODY)
    assert not public.verifies(signature, BODY.rstrip())


@pytest.mark.parametrize("signature", ["", "!", "AAAA", "ÄÖÜ", base64.urlsafe_b64encode(b"\xff" * 64).decode()])
def test_an_unreadable_signature_is_a_wrong_one(signature: str) -> None:
    for kind in (KeyKind.P256, KeyKind.ED25519, KeyKind.RSA):
        assert not parse_key(public_key_pem(make_key(kind))).verifies(signature, BODY)


def test_spellings_of_a_key_have_one_normal_form() -> None:
    pem = public_key_pem(make_key())
    body = pem.removeprefix("-----BEGIN PUBLIC KEY-----\n").removesuffix("-----END PUBLIC KEY-----\n").replace("\n", "")
    lines = "\r\n".join(body[i : i + 32] for i in range(0, len(body), 32))
    odd = f"a comment\n-----BEGIN PUBLIC KEY-----\r\n{lines}\r\n-----END PUBLIC KEY-----"
    assert odd != pem
    assert parse_key(odd).pem == pem


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused_with_menders_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"^cannot decode public key$"):
        parse_key(text)


def test_other_pem_labels_are_refused() -> None:
    pem = public_key_pem(make_key()).replace("PUBLIC KEY", "EC PUBLIC KEY")
    with pytest.raises(ValueError, match=r"^cannot decode public key$"):
        parse_key(pem)


def test_kinds_mender_does_not_know_are_refused() -> None:
    keys = (x25519.X25519PrivateKey.generate(), dsa.generate_private_key(2048))
    for key in keys:
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()
        with pytest.raises(ValueError, match="public key"):
            parse_key(pem)
