"""What is answered, where the store's own values do not say it as JSON should."""

import datetime as dt

import msgspec

from mtls_ambassador.model.denial import Denial
from mtls_ambassador.model.device import Pin
from mtls_ambassador.model.explanation import Explanation, StepState
from mtls_ambassador.model.fleet_view import (
    BatchRow,
    CertificateRow,
    DeviceDetail,
    DeviceRow,
    Event,
    FleetCounts,
    SeenCertificate,
)
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.model.operator import Scope
from mtls_ambassador.model.refusal import Refusal
from mtls_ambassador.model.revocation import serial_hex


class DenialAnswer(msgspec.Struct):
    """A denial; what it does not name is null."""

    number: int | None
    kind: str
    what: str
    serial: str | None
    issuer: str | None
    key: str | None
    batch: int | None
    issued_from: dt.datetime | None
    issued_before: dt.datetime | None
    reason: str
    by: str
    at: dt.datetime
    until: dt.datetime | None
    note: str
    in_force: bool
    lifted_at: dt.datetime | None = None
    lifted_by: str | None = None

    @classmethod
    def of(
        cls, item: Denial, now: dt.datetime, lifted_at: dt.datetime | None = None, lifted_by: str = ""
    ) -> "DenialAnswer":
        """Of a denial of the store."""
        return cls(
            item.number or None,
            item.kind.value,
            item.what,
            None if item.serial is None else serial_hex(item.serial),
            item.issuer or None,
            item.spki_sha256 or None,
            item.batch_id,
            item.begins,
            item.ends,
            item.reason,
            item.by,
            item.at,
            item.until,
            item.note,
            lifted_at is None and item.is_in_force(now),
            lifted_at,
            lifted_by or None,
        )


class Devices(msgspec.Struct):
    """A page of devices. It may hold few, or none, and still have a `next`: then no more were looked at."""

    items: list[DeviceRow]
    next: str


class Certificates(msgspec.Struct):
    """A page of certificates; as with devices, one with few may have a `next`."""

    items: list[CertificateRow]
    next: str


class Batches(msgspec.Struct):
    """A page of batches."""

    items: list[BatchRow]
    next: str


class Events(msgspec.Struct):
    """A page of the audit."""

    items: list[Event]
    next: str


class Refusals(msgspec.Struct):
    """A page of refusals; as with devices, one with few may have a `next`."""

    items: list[Refusal]
    next: str


class Denials(msgspec.Struct):
    """A page of denials."""

    items: list[DenialAnswer]
    next: str


class DeviceAnswer(msgspec.Struct):
    """All about one device that the store knows."""

    device: DeviceRow
    pins: list[Pin]
    certificates: list[SeenCertificate]
    denials: list[DenialAnswer]
    events: list[Event]
    refusals: list[Refusal]

    @classmethod
    def of(cls, found: DeviceDetail, now: dt.datetime) -> "DeviceAnswer":
        """Of what the store knows."""
        return cls(
            found.row,
            list(found.pins),
            list(found.certificates),
            [DenialAnswer.of(item, now) for item in found.denials],
            list(found.events),
            list(found.refusals),
        )


class ApproveAnswer(msgspec.Struct):
    """What an approval changed."""

    no_longer: list[Pin]
    """Keys that spoke for the identity so far."""
    warning: str


class DenyAnswer(msgspec.Struct):
    """What came of it; with `dry_run` what would."""

    dry_run: bool
    denied: list[DenialAnswer]
    already: list[DenialAnswer]
    conflicts: list[DenialAnswer]
    """Standing denials of the same things with another end, reason or author, which stay too."""
    put_back: list[DenialAnswer]
    devices: int
    certificates: int


class RestoreAnswer(msgspec.Struct):
    """What came of it, and what still keeps them out."""

    lifted: list[DenialAnswer]
    recorded: list[DenialAnswer]
    idle: list[DenialAnswer]
    still: list[DenialAnswer]
    revoked: list[str]
    """Serials that their CA has revoked."""


class Overview(msgspec.Struct):
    """Is it well, and how much is there."""

    ready: bool
    parts: dict[str, str]
    version: str
    at: dt.datetime
    counts: FleetCounts


class Inputs(msgspec.Struct):
    """Whether the gateway is ready, and the files it watches."""

    ready: bool
    parts: dict[str, str]
    inputs: list[InputState]


class SettingAnswer(msgspec.Struct):
    """A setting in force; a secret is `hidden`."""

    name: str
    value: str
    origin: str
    help: str


class SettingsAnswer(msgspec.Struct):
    """All settings in force."""

    items: list[SettingAnswer]
    warnings: list[str]


class Tally(msgspec.Struct):
    """How many there were in a step."""

    at: dt.datetime
    name: str
    count: int


class Tallies(msgspec.Struct):
    """Counts over time, the oldest first; a step in which nothing happened is left out."""

    kind: str
    step: int
    items: list[Tally]


class StepAnswer(msgspec.Struct):
    """One step; `code`, `cause`, `hint` and `next` when it failed."""

    name: str
    state: StepState
    seen: str
    code: str
    cause: str
    hint: str
    next: str


class ExplanationAnswer(msgspec.Struct):
    """Whether a device is in, and why not: `failed` names the first step that failed."""

    is_in: bool
    about: str
    failed: str | None
    code: str | None
    steps: list[StepAnswer]

    @classmethod
    def of(cls, found: Explanation) -> "ExplanationAnswer":
        """Of an explanation."""
        steps = [
            StepAnswer(item.name, item.state, item.seen, item.code, item.cause, item.hint, item.command)
            for item in found.steps
        ]
        failed = found.failed
        return cls(found.is_in, found.about, failed.name if failed else None, failed.code if failed else None, steps)


class TokenAnswer(msgspec.Struct):
    """A token, without its secret."""

    name: str
    scope: Scope
    good: bool
    made_at: dt.datetime
    made_by: str
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None


class Tokens(msgspec.Struct):
    """All tokens, the newest first."""

    items: list[TokenAnswer]


class TokenMade(msgspec.Struct):
    """A new token; it is shown only here."""

    name: str
    token: str
    expires_at: dt.datetime


class Done(msgspec.Struct):
    """Whether something had to be changed."""

    changed: bool
