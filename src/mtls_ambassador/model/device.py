"""What the gateway knows of devices: its own records, and what Mender says."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """Where an identity stands in the gateway's records."""

    CLAIMED = "claimed"
    """A certificate is being enrolled for it; void after a while when the process died in the middle."""
    ACCEPTED = "accepted"
    """Mender accepts it with the recorded auth key."""
    WITHDRAWN = "withdrawn"
    """Mender accepted it once and then did not: a person's decision, so only Mender can bring it back."""


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """The gateway's record of one identity."""

    standing: Standing
    auth_key_sha256: str
    """The one auth key Mender accepts; Mender has at most one accepted auth set per device."""
    device_id: str
    """Mender's id of the device, empty where unknown."""
    claimed_by: str
    """While claimed: the SPKI SHA-256 of the certificate that is being enrolled."""
    updated_at: dt.datetime


class PinState(StrEnum):
    """What a certificate's key may do with the identity it is pinned to; for any other identity it may never speak."""

    CLAIMED = "claimed"
    """It asked first, and whether Mender accepted it is not known yet."""
    HELD = "held"
    """Mender accepted it, or an operator approved it."""
    RELEASED = "released"
    """It holds the identity no longer: another certificate may, and it may itself when nobody else does."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A certificate's key that holds an identity, by claim or for good."""

    spki_sha256: str
    issuer: str
    subject: str
    state: PinState = PinState.HELD


@dataclass(frozen=True, slots=True)
class PinFacts:
    """What the pins say about one certificate asking for one identity."""

    key_speaks_for: str = ""
    """SHA-256 of the identity the certificate's key is pinned to; empty when none."""
    key_state: PinState | None = None
    """How it is pinned to that identity."""
    holders: tuple[Pin, ...] = ()
    """The other keys that hold the identity asked for."""
    subject_is_shared: bool = False
    """Whether issuer and subject of the certificate also speak for another identity, so that they prove nothing."""

    @property
    def is_first_come(self) -> bool:
        """Whether asking first is all that speaks for the certificate: no acceptance, no approval, no renewal."""
        return self.key_state is not PinState.HELD and all(pin.state is not PinState.HELD for pin in self.holders)


class AuthSetStatus(StrEnum):
    """Status of an auth set, or of a device as the best of its sets, in Mender."""

    ACCEPTED = "accepted"
    PREAUTHORIZED = "preauthorized"
    PENDING = "pending"
    REJECTED = "rejected"
    NOAUTH = "noauth"


@dataclass(frozen=True, slots=True)
class AuthSet:
    """Mender's record of (identity, auth key)."""

    id: str
    auth_key_sha256: str
    """Empty when Mender's key could not be read; it then equals no key."""
    status: AuthSetStatus


@dataclass(frozen=True, slots=True)
class MenderDevice:
    """A device as Mender's device authentication holds it."""

    id: str
    status: AuthSetStatus
    decommissioning: bool
    auth_sets: tuple[AuthSet, ...]
    identity: str = ""
    """Canonical identity; empty when Mender's could not be read."""
