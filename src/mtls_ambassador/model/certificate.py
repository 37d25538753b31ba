"""A device certificate, reduced to what decisions and records need."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Named:
    """What of a certificate a denial can name; empty and None where it is not known."""

    issuer: str
    """RFC 4514 text."""
    serial: int | None
    spki_sha256: str = ""
    """Hex SHA-256 of the SubjectPublicKeyInfo."""
    not_before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """The client certificate a device presented; Envoy has verified its chain and that the device holds its key."""

    serial: int
    issuer: str
    """RFC 4514 text."""
    subject: str
    """RFC 4514 text; fleets exist in which every device has the same."""
    spki_sha256: str
    """Hex SHA-256 of the SubjectPublicKeyInfo: names the key, over renewals too."""
    fingerprint_sha256: str
    """Hex SHA-256 of the whole certificate."""
    not_before: dt.datetime
    not_after: dt.datetime
    names: Mapping[str, tuple[str, ...]] = field(compare=False)
    """Values an identity template may use, by placeholder: cn, serial, o, ou, san_uri, san_dns."""

    @property
    def serial_hex(self) -> str:
        """The serial as lower-case hex without leading zeros."""
        return f"{self.serial:x}"
