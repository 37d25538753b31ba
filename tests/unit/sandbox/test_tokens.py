import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mtls_ambassador.sandbox.tokens import InvalidTokenError, TokenSigner

KEYS = [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(public_exponent=65537, key_size=2048)]
NOW = 1_000_000.0


@pytest.fixture(params=KEYS, ids=["EdDSA", "RS256"])
def signer(request: pytest.FixtureRequest) -> TokenSigner:
    return TokenSigner(request.param)


def part(token: str, number: int) -> dict[str, object]:
    text = token.split(".")[number]
    value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(value, dict)
    return value


def test_a_token_names_its_algorithm_and_carries_its_claims(
    signer: TokenSigner, request: pytest.FixtureRequest
) -> None:
    claims = {"jti": "a", "exp": NOW + 1}
    token = signer.sign(claims)
    assert part(token, 0) == {"alg": request.node.callspec.id, "typ": "JWT"}
    assert part(token, 1) == claims
    assert signer.read(token, NOW) == claims


def test_a_remembered_token_still_expires(signer: TokenSigner) -> None:
    token = signer.sign({"exp": NOW + 1})
    signer.read(token, NOW)
    with pytest.raises(InvalidTokenError):
        signer.read(token, NOW + 1)


def test_a_token_without_exp_is_good_for_ever(signer: TokenSigner) -> None:
    assert signer.read(signer.sign({"jti": "a"}), 1e18) == {"jti": "a"}


@pytest.mark.parametrize(
    "change", [lambda t: t[:-4], lambda t: t + "A", lambda t: "x" + t, lambda _: "", lambda _: "a.b"]
)
def test_a_changed_token_is_refused(signer: TokenSigner, change: "type[str]") -> None:
    with pytest.raises(InvalidTokenError):
        signer.read(change(signer.sign({"jti": "a"})), NOW)


def test_the_token_of_another_server_is_refused() -> None:
    with pytest.raises(InvalidTokenError):
        TokenSigner().read(TokenSigner().sign({"jti": "a"}), NOW)


def test_claims_that_were_swapped_are_refused(signer: TokenSigner) -> None:
    one, two = signer.sign({"jti": "a"}).split("."), signer.sign({"jti": "b"}).split(".")
    with pytest.raises(InvalidTokenError):
        signer.read(".".join([one[0], two[1], one[2]]), NOW)


def test_alg_none_is_refused(signer: TokenSigner) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    with pytest.raises(InvalidTokenError):
        signer.read(f"{header}.{signer.sign({'jti': 'a'}).split('.')[1]}.", NOW)
