"""What goes over the wire, field by field, as Mender's clients write it."""

import base64
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from mtls_ambassador.pki.issue import KeyKind, PrivateKey, make_key, public_key_pem
from mtls_ambassador.sandbox.device_wire import ClientStyle, auth_headers, make_auth_request, next_calls, sign

KEY = make_key()


def verify(key: PrivateKey, signature: str, body: bytes) -> None:
    raw = base64.b64decode(signature, validate=True)
    if isinstance(key, rsa.RSAPrivateKey):
        key.public_key().verify(raw, body, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        key.public_key().verify(raw, body, ec.ECDSA(hashes.SHA256()))
    else:
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        key.public_key().verify(raw, body)


@pytest.mark.parametrize("kind", KeyKind)
def test_the_signature_is_over_the_exact_bytes(kind: KeyKind) -> None:
    key = make_key(kind)
    signature = sign(b'{"a":1}\n', key)
    verify(key, signature, b'{"a":1}\n')
    with pytest.raises(InvalidSignature):
        verify(key, signature, b'{"a":1}')


def test_the_go_client_ends_its_body_with_a_newline_and_always_sends_a_tenant_token() -> None:
    body = make_auth_request({"mac": "00:01", "a": "x"}, KEY).body
    assert body.endswith(b"}\n")
    assert list(json.loads(body)) == ["id_data", "tenant_token", "pubkey"]
    assert json.loads(body) == {
        "id_data": '{"a":"x","mac":"00:01"}',
        "tenant_token": "",
        "pubkey": public_key_pem(KEY),
    }


def test_the_go_client_escapes_what_go_escapes_also_inside_the_identity() -> None:
    body = make_auth_request({"sn": "a&b"}, KEY).body
    assert rb'"{\"sn\":\"a\\u0026b\"}"' in body
    assert json.loads(json.loads(body)["id_data"]) == {"sn": "a&b"}


def test_the_cpp_client_sends_its_tier_and_a_tenant_token_only_when_set() -> None:
    plain = make_auth_request({"mac": "1"}, KEY, style=ClientStyle.CPP).body
    assert not plain.endswith(b"\n")
    assert list(json.loads(plain)) == ["id_data", "pubkey", "tier"]
    with_token = make_auth_request({"mac": "1"}, KEY, tenant_token="t", style=ClientStyle.CPP).body
    assert json.loads(with_token)["tenant_token"] == "t"


def test_the_authorization_of_an_auth_request_is_the_tenant_token_or_a_literal() -> None:
    request = make_auth_request({"mac": "1"}, KEY)
    assert auth_headers(request, tenant_token="t", style=ClientStyle.GO)["Authorization"] == "Bearer t"
    assert auth_headers(request, tenant_token="t", style=ClientStyle.CPP)["Authorization"] == "API_KEY"


def test_only_the_go_client_posts_to_version_one() -> None:
    assert [call.method for call in next_calls("t", "a", ClientStyle.GO)] == ["POST", "POST", "GET"]
    assert [call.method for call in next_calls("t", "a", ClientStyle.CPP)] == ["POST", "GET"]
