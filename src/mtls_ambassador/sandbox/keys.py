"""Public keys and signatures of auth requests, judged as Mender judges them (deviceauth `utils/crypto.go`)."""

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

BEGIN, END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


@dataclass(frozen=True, slots=True)
class AuthKey:
    """The key of an auth set: `pem` is the normal form Mender stores and compares."""

    pem: str
    key: PublicKey

    def verifies(self, signature: str, body: bytes) -> bool:
        """Whether the header `X-MEN-Signature` signs exactly `body`; fails closed on anything unreadable."""
        try:
            _verify(self.key, base64.b64decode(signature, validate=True), body)
        except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, ValueError):
            return False
        return True


@lru_cache(maxsize=16_384)
def parse_key(pem: str) -> AuthKey:
    """Read a PEM `PUBLIC KEY` (RSA, ECDSA or Ed25519); raises ValueError with Mender's text."""
    start = pem.find("-----BEGIN ")
    if start < 0 or not pem.startswith(BEGIN, start) or END not in pem:
        raise ValueError("cannot decode public key")
    try:
        key = serialization.load_pem_public_key(pem[start:].encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("cannot decode public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise ValueError("unrecognized public key type")  # noqa: TRY004 - the text is at fault, not a type of ours
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return AuthKey(key.public_bytes(serialization.Encoding.PEM, spki).decode(), key)


def _verify(key: PublicKey, signature: bytes, body: bytes) -> None:
    match key:
        case rsa.RSAPublicKey():
            key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
        case ec.EllipticCurvePublicKey():
            key.verify(signature, body, ec.ECDSA(hashes.SHA256()))
        case ed25519.Ed25519PublicKey():
            key.verify(signature, body)
