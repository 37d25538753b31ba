"""The words of device authentication: statuses, auth sets, devices, refusals."""

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum

from mtls_ambassador.model.identity import Identity


class Status(StrEnum):
    """Of an auth set, or of a device as the best of its sets; `noauth` is a device without any set."""

    NOAUTH = "noauth"
    REJECTED = "rejected"
    PENDING = "pending"
    PREAUTHORIZED = "preauthorized"
    ACCEPTED = "accepted"


class DevAuthError(Exception):
    """A refusal, with Mender's text."""


class UnauthorizedError(DevAuthError):
    """The device may not have a token (401)."""


class LimitError(DevAuthError):
    """One device more than the limit: 401 for a device, 422 for a user."""


class NotFoundError(DevAuthError):
    """No such device, auth set or token (404)."""


class BadRequestError(DevAuthError):
    """A transition that does not exist, or ids that do not belong together (400)."""


class StatusBrokenError(DevAuthError):
    """A device with two preauthorized sets has no status (500)."""


class DeviceExistsError(DevAuthError):
    """Preauthorization without `force` of an identity that is known (409); carries the device."""

    def __init__(self, device: "Device") -> None:
        super().__init__("device already exists")
        self.device = device


@dataclass(slots=True)
class AuthSet:
    """One (identity, auth key) and what was decided about it."""

    id: str
    device_id: str
    pubkey: str
    status: Status
    ts: dt.datetime


@dataclass(slots=True)
class Device:
    """One identity; `auth_sets` by public key."""

    id: str
    identity: Identity
    status: Status
    created: dt.datetime
    updated: dt.datetime
    decommissioning: bool = False
    check_in: dt.datetime | None = None
    auth_sets: dict[str, AuthSet] = field(default_factory=dict)
