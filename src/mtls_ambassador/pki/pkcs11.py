"""CA keys in a PKCS#11 token."""

from mtls_ambassador.pki.issue import PrivateKey


def open_key(uri: str, pin: str) -> PrivateKey:
    """The private key a `pkcs11:` URI names; it stays in the token."""
    raise NotImplementedError(uri, pin)
