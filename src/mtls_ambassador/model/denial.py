"""The denylist: certificates, keys, batches, dates and CAs whose devices stay out, because the operator says so."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from mtls_ambassador.model.revocation import serial_hex


class DenialKind(StrEnum):
    """What a denial names."""

    SERIAL = "serial"
    """One certificate: serial, and issuer where it is known."""
    KEY = "key"
    """All certificates of one key, over renewals too."""
    BATCH = "batch"
    """All certificates of a batch made here."""
    DATES = "dates"
    """All certificates whose validity begins in a time, of one issuer or any."""
    CA = "ca"
    """All certificates of an issuer."""
    UNSEEN = "unseen"
    """Those certificates of an issuer with which no device was let in before."""


@dataclass(frozen=True, slots=True)
class Denial:
    """One decision of an operator."""

    kind: DenialKind
    reason: str
    by: str
    at: dt.datetime
    issuer: str = ""
    """RFC 4514 text; empty for any."""
    serial: int | None = None
    spki_sha256: str = ""
    """Hex."""
    batch_id: int | None = None
    begins: dt.datetime | None = None
    """DATES: validity begins at this time or later."""
    ends: dt.datetime | None = None
    """DATES: validity begins before this time."""
    note: str = ""
    until: dt.datetime | None = None
    """In force before this time; None for good."""
    number: int = 0
    """In the store; 0 while it is not there."""

    @property
    def content(self) -> tuple[object, ...]:
        """What it names; two denials with the same content keep out the same devices."""
        return self.kind, self.issuer, self.serial, self.spki_sha256, self.batch_id, self.begins, self.ends

    def is_in_force(self, now: dt.datetime) -> bool:
        """Whether its time is not over."""
        return self.until is None or now < self.until

    def covers(self, not_before: dt.datetime) -> bool:
        """DATES: whether validity that begins at this time is meant."""
        return self.begins is not None and self.ends is not None and self.begins <= not_before < self.ends

    def outlasts(self, until: dt.datetime | None) -> bool:
        """Whether it is in force until then, or longer; None is for good."""
        return self.until is None or (until is not None and until <= self.until)

    @property
    def what(self) -> str:
        """In words."""
        of = f" of {self.issuer}" if self.issuer else ""
        match self.kind:
            case DenialKind.SERIAL:
                return f"serial {serial_hex(self.serial or 0)}{of}"
            case DenialKind.KEY:
                return f"key {self.spki_sha256}"
            case DenialKind.BATCH:
                return f"batch {self.batch_id}"
            case DenialKind.DATES:
                return f"certificates from {self.begins:%Y-%m-%d %H:%M} to {self.ends:%Y-%m-%d %H:%M} UTC{of}"
            case DenialKind.CA:
                return f"CA {self.issuer}"
            case DenialKind.UNSEEN:
                return f"new devices of CA {self.issuer}"
