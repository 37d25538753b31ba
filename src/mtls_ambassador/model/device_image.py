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
class ConfFile:
    """mender.conf in one root file system."""

    where: str
    conf: ClientConf | None
    fault: str = ""
    """Why there is none."""


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
class DeviceImage:
    """One image."""

    name: str
    confs: tuple[ConfFile, ...] = ()
    certificate: CertificateFacts | None = None
    certificate_fault: str = ""
    key: KeyFacts | None = None
    key_fault: str = ""
    server_ca_fault: str = ""
    """What is wrong with the file that `ServerCertificate` names."""
    leftovers: tuple[Leftover, ...] = ()
    fault: str = ""
    """Why it could not be looked at."""
