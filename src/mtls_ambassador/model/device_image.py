"""What was found in one device's image: facts, with nothing secret in them."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientConf:
    """A mender.conf as both lines of Mender's client read it; empty where a key is not there."""

    servers: tuple[str, ...] = ()
    has_both: bool = False
    """`ServerURL` and `Servers`, which the client refuses."""
    certificate: str = ""
    key: str = ""
    auth_key: str = ""
    """`Security.AuthPrivateKey`."""
    server_ca: str = ""
    """`ServerCertificate`."""
    is_unverified: bool = False
    """`SkipVerify` is on."""
    others: tuple[str, ...] = ()
    """Other files it names, such as keys that artifacts are verified with."""
    misspelt: tuple[str, ...] = ()
    """Keys in another case than Mender's own, which 4.x and later do not see."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The device certificate."""

    path: str
    fingerprint: str
    """SHA-256 of the DER, in hexadecimal."""
    spki_sha256: str
    subject: str
    not_before: dt.datetime
    not_after: dt.datetime
    is_of_our_ca: bool


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The private key's file."""

    path: str
    spki_sha256: str
    """Of its public key; empty when it cannot be read."""
    mode: int
    uid: int
    has_mode: bool
    """Not on FAT."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that should not be in an image that is shipped."""

    path: str
    why: str
    is_secret: bool


@dataclass(frozen=True, slots=True)
class RootFacts:
    """What a device has that started from one root file system: its mender.conf, and the files that this names."""

    where: str
    """Its partition."""
    conf: ClientConf | None
    conf_fault: str = ""
    """Why there is none."""
    certificate: CertificateFacts | None = None
    certificate_fault: str = ""
    key: KeyFacts | None = None
    """Of `HttpsClient`; None, with no fault, when it is in a token."""
    key_fault: str = ""
    auth_key: KeyFacts | None = None
    """Of `Security.AuthPrivateKey`; None, with no fault, also when it is not set."""
    auth_key_fault: str = ""
    server_ca_fault: str = ""
    """What is wrong with the file that `ServerCertificate` names."""
    leftovers: tuple[Leftover, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceImage:
    """One image."""

    name: str
    roots: tuple[RootFacts, ...] = ()
    """Root file system A and, when there is something in it, B."""
    faults: tuple[str, ...] = ()
    """What is wrong with it as a whole."""
    fault: str = ""
    """Why it could not be looked at."""

    @property
    def certificate(self) -> CertificateFacts | None:
        """That of A, or of B when A has none."""
        return next((root.certificate for root in self.roots if root.certificate), None)

    @property
    def fingerprints(self) -> frozenset[str]:
        """Of the certificates in A and B: one, in a good image; empty texts stand for those that are missing."""
        return frozenset(root.certificate.fingerprint if root.certificate else "" for root in self.roots)
