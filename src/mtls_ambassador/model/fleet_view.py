"""What operators are shown of the fleet: plain values that the page, the API and the command line share."""

import datetime as dt
from dataclasses import dataclass
from typing import Generic, TypeVar

from mtls_ambassador.model.denial import Denial
from mtls_ambassador.model.device import Pin, Standing
from mtls_ambassador.model.refusal import Refusal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of many."""

    items: tuple[T, ...]
    next: str = ""
    """Opaque; asks for those that follow. Empty on the last page."""


@dataclass(frozen=True, slots=True)
class Contact:
    """When a certificate last finished a handshake; at most one row a certificate."""

    fingerprint_sha256: str
    serial: str
    subject: str
    issuer: str
    first_at: dt.datetime
    at: dt.datetime
    """When its last connection ended."""
    address: str
    tls_version: str
    connections: int
    """How many there were since `first_at`."""


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Which devices; each empty field chooses all."""

    text: str = ""
    """Any part of identity, certificate serial, subject or Mender's device id, whatever its case."""
    standing: Standing | None = None
    silent_since: dt.datetime | None = None
    """Only those without a connection since."""
    limit: int = 50
    after: str = ""
    """A page's `next`."""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device in a list."""

    identity_sha256: str
    identity: str
    standing: Standing
    device_id: str
    """Mender's."""
    certificate_serial: str
    certificate_subject: str
    enrolled_at: dt.datetime | None
    updated_at: dt.datetime
    last_at: dt.datetime | None
    """Its last connection."""
    last_address: str


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate of the records (made by `pki`)."""

    serial: str
    issuer_sha256: str
    name: str
    profile: str
    batch_id: int | None
    status: str
    subject: str
    spki_sha256: str
    fingerprint_sha256: str
    not_before: dt.datetime | None
    not_after: dt.datetime | None
    revoked_at: dt.datetime | None
    revocation_reason: str


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """A certificate with which a device was accepted."""

    issuer: str
    serial: str
    subject: str
    spki_sha256: str
    fingerprint_sha256: str
    """Empty for those seen before the store kept it."""
    not_before: dt.datetime
    first_at: dt.datetime
    contact: Contact | None


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the audit."""

    number: int
    at: dt.datetime
    event: str
    reason: str
    detail: str
    identity: str
    identity_sha256: str
    certificate_serial: str
    certificate_subject: str
    address: str
    request_id: str


@dataclass(frozen=True, slots=True)
class DeviceDetail:
    """All about one device that the store knows."""

    row: DeviceRow
    pins: tuple[Pin, ...]
    certificates: tuple[SeenCertificate, ...]
    """Newest first."""
    denials: tuple[Denial, ...]
    """In force, that hit one of its certificates or the identity."""
    events: tuple[Event, ...]
    """Its last ones, newest first."""
    refusals: tuple[Refusal, ...]
    """Its last ones, newest first."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch with what became of it."""

    id: int
    name: str
    quantity: int
    created_at: dt.datetime
    finished_at: dt.datetime | None
    issued: int
    """Certificates on record that are not void."""
    revoked: int
    enrolled: int
    """Of which a device was accepted."""


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """How many there are of what."""

    devices: dict[str, int]
    """By standing."""
    silent: int
    """Certificates of the ledger without a connection since the time that was asked for."""
    certificates: int
    """On record, of any status."""
    expiring: int
    """Certificates on record that end within the time that was asked for."""
    revoked: int
    denials: int
    """That were not lifted."""
