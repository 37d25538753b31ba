"""Revocations: what a CA takes back, and why."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class RevocationReason(StrEnum):
    """The reasons of RFC 5280 section 5.3.1, by its names."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    """The only one that can be lifted."""
    REMOVE_FROM_CRL = "removeFromCRL"
    """Lifts a hold; it is never recorded, because a full CRL just no longer names the certificate."""
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"

    @property
    def code(self) -> int:
        """The value in a CRL; 7 is not used."""
        number = list(RevocationReason).index(self)
        return number if number < 7 else number + 1  # noqa: PLR2004 - RFC 5280's own gap


RECORDED = tuple(item for item in RevocationReason if item is not RevocationReason.REMOVE_FROM_CRL)
"""Those that a record or a denial may have."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One certificate taken back."""

    issuer_sha256: bytes
    """SHA-256 of the CA's SPKI in DER."""
    serial: int
    reason: RevocationReason
    at: dt.datetime
    by: str
    note: str = ""
    not_after: dt.datetime | None = None
    """When the certificate ends by itself; None when nobody knows."""

    @property
    def key(self) -> tuple[bytes, int]:
        """Issuer and serial, which name a certificate for good."""
        return self.issuer_sha256, self.serial


class CrlEntry(NamedTuple):
    """What a CRL needs of a revocation; a light one, because there may be a hundred thousand."""

    serial: int
    reason: RevocationReason
    at: dt.datetime
    not_after: dt.datetime | None


def serial_hex(serial: int) -> str:
    """A serial as openssl prints it: whole octets, upper case."""
    text = f"{serial:X}"
    return text.zfill(len(text) + len(text) % 2)
