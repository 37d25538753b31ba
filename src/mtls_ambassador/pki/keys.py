"""Private keys in files: encrypted PKCS#8 (RFC 5958), read with or without a passphrase."""

import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import PrivateKey, key_pem
from mtls_ambassador.pki.profiles import PublicKey

_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
_CURVES = {"secp256r1", "secp384r1", "secp521r1"}
_RSA_BITS = range(2048, 8193)


def is_encrypted(pem: bytes) -> bool:
    """Whether a passphrase is needed to read the key."""
    return _ENCRYPTED.search(pem) is not None


def encrypted_pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    """The key as PKCS#8 PEM, encrypted (PBES2, AES-256) unless there is no passphrase."""
    if passphrase is None:
        return key_pem(key)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))


def load_key(pem: bytes, passphrase: bytes | None, path: Path) -> PrivateKey:
    """The key in a PEM file. Raises AmbassadorError naming `path`; no text in it holds key or passphrase."""
    try:
        key = load_pem_private_key(pem, passphrase if is_encrypted(pem) else None)
    except TypeError:
        raise AmbassadorError(f"{path}: the key is encrypted and no passphrase was given") from None
    except (ValueError, UnsupportedAlgorithm):
        if is_encrypted(pem):
            raise AmbassadorError(f"{path}: wrong passphrase, or the file is damaged") from None
        raise AmbassadorError(f"{path}: holds no readable private key; give it in PEM form") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise AmbassadorError(f"{path}: must be an EC, RSA or Ed25519 key")
    return key


def public_key_fault(key: object) -> str | None:
    """Why nobody should certify this public key, or None."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return None if key.curve.name in _CURVES else f"curve {key.curve.name}; right are P-256, P-384 and P-521"
    if isinstance(key, rsa.RSAPublicKey):
        return None if key.key_size in _RSA_BITS else f"RSA with {key.key_size} bits; right are 2048 to 8192"
    return "a kind of key TLS has no use for; right are EC, RSA and Ed25519"


def usable_public_key(key: object, where: str) -> PublicKey:
    """The key, if it may be certified; else AmbassadorError naming `where`."""
    fault = public_key_fault(key)
    if fault is not None or not isinstance(
        key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
    ):
        raise AmbassadorError(f"{where}: has {fault}")
    return key


def describe_key(key: object) -> str:
    """A key in a word or two, such as `EC secp256r1`, `RSA 3072` or `Ed25519`."""
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        return f"EC {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.replace("PublicKey", "").replace("PrivateKey", "")
