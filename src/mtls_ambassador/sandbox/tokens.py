"""JSON web tokens (RFC 7519) as the Mender server makes them: EdDSA or RS256, by the kind of the server's key."""

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

Claims = Mapping[str, object]

REMEMBERED = 65_536
"""Tokens whose signature has been verified once and need not be again."""


class InvalidTokenError(Exception):
    """Not a token of this server, or out of date."""


class TokenSigner:
    """Makes and checks tokens with one key; says nothing about revocation."""

    def __init__(self, key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | None = None) -> None:
        self._key = key or ed25519.Ed25519PrivateKey.generate()
        self._algorithm = "RS256" if isinstance(self._key, rsa.RSAPrivateKey) else "EdDSA"
        self._header = _encode(json.dumps({"alg": self._algorithm, "typ": "JWT"}).encode())
        self._verified: OrderedDict[str, Claims] = OrderedDict()

    def sign(self, claims: Claims) -> str:
        """The token for these claims, in compact form (RFC 7515 section 7.1)."""
        signed = f"{self._header}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{_encode(self._signature(signed.encode()))}"

    def read(self, token: str, now: float) -> Claims:
        """The claims of a token of ours; `now` in Unix seconds. Fails closed: raises InvalidTokenError."""
        claims = self._verified.get(token)
        if claims is None:
            claims = self._verify(token)
            self._verified[token] = claims
            if len(self._verified) > REMEMBERED:
                self._verified.popitem(last=False)
        expires = claims.get("exp")
        if isinstance(expires, int | float) and expires <= now:
            raise InvalidTokenError("expired")
        return claims

    def _signature(self, signed: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(signed)

    def _verify(self, token: str) -> Claims:
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        if header != self._header:
            raise InvalidTokenError("not a token of this server")
        try:
            self._check(_decode(signature), signed.encode())
            claims = json.loads(_decode(payload))
        except (InvalidSignature, ValueError) as error:
            raise InvalidTokenError("bad signature") from error
        if not isinstance(claims, dict):
            raise InvalidTokenError("claims are not an object")
        return claims

    def _check(self, signature: bytes, signed: bytes) -> None:
        if isinstance(self._key, rsa.RSAPrivateKey):
            self._key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            self._key.public_key().verify(signature, signed)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
