"""How a CA's key signs, and the name of that in DER; the library offers it only together with its own builders."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from mtls_ambassador.pki.authority import hash_algorithm
from mtls_ambassador.pki.issue import PrivateKey

_ECDSA = {
    "sha256": bytes.fromhex("300a06082a8648ce3d040302"),
    "sha384": bytes.fromhex("300a06082a8648ce3d040303"),
    "sha512": bytes.fromhex("300a06082a8648ce3d040304"),
}
"""AlgorithmIdentifiers of RFC 5758 section 3.2, which have no parameters."""
_RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
"""RFC 4055 section 5: sha256WithRSAEncryption, with NULL parameters."""
_ED25519 = bytes.fromhex("300506032b6570")
"""RFC 8410 section 3."""


def algorithm_of(key: PrivateKey) -> bytes:
    """The AlgorithmIdentifier in DER of what `sign` makes."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _ED25519
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _ECDSA[_hash_of(key).name]
    return _RSA_SHA256


def sign(key: PrivateKey, data: bytes) -> bytes:
    """The signature as a certificate or CRL holds it."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(_hash_of(key)))
    return key.sign(data, padding.PKCS1v15(), _hash_of(key))


def _hash_of(key: PrivateKey) -> hashes.HashAlgorithm:
    return hash_algorithm(key) or hashes.SHA256()
