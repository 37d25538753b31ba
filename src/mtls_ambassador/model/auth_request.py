"""A device's auth request, read and held with the bytes it came in."""

from dataclasses import dataclass, field

from mtls_ambassador.model.identity import Identity


@dataclass(frozen=True, slots=True)
class AuthKey:
    """The public key in an auth request, in the form Mender stores and compares."""

    pem: str
    spki_sha256: str
    """Hex SHA-256 of the SubjectPublicKeyInfo."""


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """What a device asks for: to be let in as `identity`, with `auth_key`."""

    identity: Identity
    auth_key: AuthKey
    body: bytes = field(repr=False)
    """The exact bytes the signature covers; they go upstream as they are."""
