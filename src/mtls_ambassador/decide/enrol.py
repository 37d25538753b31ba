"""The enrolment rule (docs/architecture.md): may this certificate enrol this identity with this key, and how?

Each function takes facts and returns a value. Every rule fails closed: what it cannot tell apart it refuses.
"""

import datetime as dt
from dataclasses import dataclass
from enum import Enum, auto

from mtls_ambassador.decide.identity_template import IdentityTemplate
from mtls_ambassador.model.auth_request import AuthRequest
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import (
    AuthSet,
    AuthSetStatus,
    DeviceRecord,
    MenderDevice,
    PinFacts,
    PinState,
    Standing,
)
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.settings import BindingMode, KeyBinding

_LETS_IN = {AuthSetStatus.ACCEPTED, AuthSetStatus.PREAUTHORIZED}
CLAIM_LASTS = dt.timedelta(minutes=10)
"""A claim older than this belongs to a process that died in the middle of it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's choices, from the settings."""

    key_binding: KeyBinding
    identity_binding: BindingMode
    template: IdentityTemplate | None = None
    ignores_end: bool = False
    """A certificate's end does not matter."""

    @property
    def pins_keys(self) -> bool:
        """Whether a certificate's key is held to one identity; only `off` lets a device be anyone."""
        return self.identity_binding is not BindingMode.OFF


def refuse_certificate(
    certificate: DeviceCertificate, now: dt.datetime, *, denied: bool = False, ignores_end: bool = False
) -> Reason | None:
    """Step 3: within its dates (RFC 5280 section 4.1.2.5, both ends included) and not denied."""
    if denied:
        return Reason.CERTIFICATE_DENIED
    if now < certificate.not_before:
        return Reason.CERTIFICATE_NOT_YET_VALID
    if now > certificate.not_after and not ignores_end:
        return Reason.CERTIFICATE_EXPIRED
    return None


def refuse_binding(rules: Rules, certificate: DeviceCertificate, request: AuthRequest, pins: PinFacts) -> Reason | None:
    """Steps 4 and 5: may this auth key, and this identity, be asked for with this certificate?"""
    key_differs = request.auth_key.spki_sha256 != certificate.spki_sha256
    if rules.key_binding is not KeyBinding.ANY and key_differs:
        return Reason.KEY_NOT_CERTIFICATES
    match rules.identity_binding:
        case BindingMode.OFF:
            return None
        case BindingMode.TEMPLATE:
            return _refuse_by_template(rules.template, certificate, request.identity) or _refuse_other(request, pins)
        case _:
            return _refuse_other(request, pins) or _refuse_by_holders(certificate, pins)


def _refuse_by_template(
    template: IdentityTemplate | None, certificate: DeviceCertificate, identity: Identity
) -> Reason | None:
    fits = template is not None and template.matches(identity.attributes, certificate.names)
    return None if fits else Reason.TEMPLATE_MISMATCH


def _refuse_other(request: AuthRequest, pins: PinFacts) -> Reason | None:
    """One key, one identity, for ever: or a device turned away would come back under another name."""
    return None if pins.key_speaks_for in {"", request.identity.sha256} else Reason.KEY_SPEAKS_FOR_OTHER


def _refuse_by_holders(certificate: DeviceCertificate, pins: PinFacts) -> Reason | None:
    """An identity that another key holds is for a certificate of the same issuer and subject alone: a renewal."""
    if pins.key_state in {PinState.CLAIMED, PinState.HELD} or not pins.holders:
        return None
    name = (certificate.issuer, certificate.subject)
    same_name = any((pin.issuer, pin.subject) == name for pin in pins.holders)
    return None if same_name and not pins.subject_is_shared else Reason.IDENTITY_TAKEN


class Step(Enum):
    """What to do next to get an allowed auth request accepted."""

    FORWARD = auto()
    """Send it upstream: Mender answers from its own records."""
    PREAUTHORIZE = auto()
    """Tell Mender to accept it when it comes, without `force`."""
    INSPECT = auto()
    """Mender knows the device: look at its auth sets first."""
    RECORD = auto()
    """Send it upstream so that Mender records the new key, then inspect again."""
    ACCEPT = auto()
    """Accept the auth set Mender recorded, by its id, then forward."""


@dataclass(frozen=True, slots=True)
class Next:
    """The next step, or the reason why there is none; `auth_set_id` goes with ACCEPT."""

    step: Step | None = None
    refused: Reason | None = None
    auth_set_id: str = ""


def first_step(record: DeviceRecord | None, auth_key_sha256: str) -> Step:
    """Step 6, from the gateway's records alone. A withdrawn identity is never preauthorized or accepted by us."""
    if record is None or record.standing is Standing.CLAIMED:
        return Step.PREAUTHORIZE
    if record.standing is Standing.WITHDRAWN or record.auth_key_sha256 == auth_key_sha256:
        return Step.FORWARD
    return Step.INSPECT


def after_inspection(
    device: MenderDevice | None,
    auth_key_sha256: str,
    *,
    recorded: bool,
    was_accepted: bool = False,
    is_first_come: bool = False,
) -> Next:
    """Step 6, from what Mender says of the device: a person's rejection or decommissioning wins.

    `recorded` tells that the request went upstream just now, so that a set still missing is not asked for again.
    `was_accepted` tells that Mender accepted the device once: with no set left that lets it in, somebody took that
    back, and a new key must not undo it.
    `is_first_come` tells that nothing but asking first speaks for the certificate: what Mender accepted with another
    key, before this gateway or in a store that was lost, then belongs to somebody else.
    """
    if device is None or device.decommissioning:
        return Next(refused=Reason.DECOMMISSIONED)
    if was_accepted and not _is_let_in(device):
        rejected = any(item.status is AuthSetStatus.REJECTED for item in device.auth_sets)
        return Next(refused=Reason.REJECTED_BY_PERSON if rejected else Reason.WITHDRAWN)
    own = next((item for item in device.auth_sets if item.auth_key_sha256 == auth_key_sha256), None)
    if own is not None and own.status in _LETS_IN:
        return Next(Step.FORWARD)
    if is_first_come and _is_let_in(device):
        return Next(refused=Reason.IDENTITY_TAKEN)
    return _of_known_key(device, own) if own else _of_unknown_key(device, recorded=recorded)


def _of_known_key(device: MenderDevice, own: AuthSet) -> Next:
    if own.status is AuthSetStatus.PENDING and not _rejected_without(device, own.id):
        return Next(Step.ACCEPT, auth_set_id=own.id)
    return Next(refused=Reason.REJECTED_BY_PERSON)


def _of_unknown_key(device: MenderDevice, *, recorded: bool) -> Next:
    if device.status is AuthSetStatus.REJECTED:
        return Next(refused=Reason.REJECTED_BY_PERSON)
    return Next(refused=Reason.REFUSED_UPSTREAM) if recorded else Next(Step.RECORD)


def _is_let_in(device: MenderDevice) -> bool:
    """Whether Mender lets the device in, with whichever key."""
    return any(item.status in _LETS_IN for item in device.auth_sets)


def _rejected_without(device: MenderDevice, auth_set_id: str) -> bool:
    """Whether the device was rejected before it asked with this key: a fresh key must not undo that."""
    others = [item.status for item in device.auth_sets if item.id != auth_set_id]
    return AuthSetStatus.REJECTED in others and not _LETS_IN & set(others)


def claim_is_void(record: DeviceRecord, now: dt.datetime) -> bool:
    """Whether a claim was left behind by a process that died."""
    return record.standing is Standing.CLAIMED and now - record.updated_at > CLAIM_LASTS
