"""Mender's device authentication as a pure state machine: devices, auth sets and their transitions.

No I/O, and the clock is passed in. Follows mender-server `services/deviceauth/devauth/devauth.go` of server 4.1,
also where that surprises: `force` overwrites a rejection, two preauthorized sets break the device's status.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection
from uuid import uuid4

from mtls_ambassador.model.identity import Identity
from mtls_ambassador.sandbox.devauth_types import (
    AuthSet,
    BadRequestError,
    DevAuthError,
    Device,
    DeviceExistsError,
    LimitError,
    NotFoundError,
    Status,
    StatusBrokenError,
    UnauthorizedError,
)

__all__ = [
    "UNLIMITED",
    "AuthSet",
    "BadRequestError",
    "DevAuth",
    "DevAuthError",
    "Device",
    "DeviceExistsError",
    "LimitError",
    "NotFoundError",
    "Status",
    "StatusBrokenError",
    "UnauthorizedError",
]

UNLIMITED = -1


_WEIGHT = {status: weight for weight, status in enumerate(Status)}
_ALLOWED = {
    Status.ACCEPTED: {Status.REJECTED, Status.PENDING},
    Status.PENDING: {Status.REJECTED, Status.PENDING, Status.ACCEPTED},
    Status.REJECTED: {Status.PENDING, Status.ACCEPTED},
}
"""To which status from which (deviceauth `model/device.go`, ValidateStatusTransition)."""


class DevAuth:
    """All devices; every method is one call of Mender's API."""

    def __init__(self, clock: Callable[[], dt.datetime], *, limit: int = UNLIMITED, delay: float = 0.5) -> None:
        """`limit`: accepted devices at most, 0 means none. `delay`: seconds a decommissioning takes."""
        self.limit = limit
        self.decommission_delay = delay
        self.on_removed: list[Callable[[str], None]] = []
        """Called with the id of each device that is gone."""
        self._clock = clock
        self._devices: dict[str, Device] = {}
        self._by_identity: dict[str, Device] = {}
        self._sets: dict[str, AuthSet] = {}
        self._tokens: dict[str, str] = {}
        self._leaving: dict[str, dt.datetime] = {}
        self._counts: Counter[Status] = Counter()

    # Devices ask

    def submit(self, identity: Identity, pubkey: str) -> AuthSet:
        """An auth request whose signature is right; returns the accepted set, for which a token may be made.

        Fails closed: everything that is not accepted raises UnauthorizedError or LimitError.
        """
        self._sweep()
        device = self._by_identity.get(identity.sha256)
        known = device.auth_sets.get(pubkey) if device else None
        if device and known and known.status is Status.PREAUTHORIZED:
            self._accept_preauthorized(device, known)
            return known
        auth_set = self._record(identity, pubkey)
        if auth_set.status is not Status.ACCEPTED:
            raise UnauthorizedError("dev auth: unauthorized")
        return auth_set

    def _accept_preauthorized(self, device: Device, auth_set: AuthSet) -> None:
        if device.decommissioning:
            raise UnauthorizedError("dev auth: unauthorized")
        if device.status is not Status.ACCEPTED:
            self._check_limit()
        self._set_set_status(device, auth_set, Status.ACCEPTED)
        self._set_device_status(device, Status.ACCEPTED)

    def _record(self, identity: Identity, pubkey: str) -> AuthSet:
        device = self._by_identity.get(identity.sha256) or self._add_device(identity, Status.NOAUTH)
        if device.decommissioning:
            raise UnauthorizedError("dev auth: unauthorized")
        auth_set = device.auth_sets.get(pubkey) or self._add_set(device, pubkey, Status.PENDING)
        if _best(auth_set.status, device.status) is not device.status:
            self._set_device_status(device, _aggregate(device))
        return auth_set

    def grant(self, auth_set: AuthSet) -> None:
        """Remember that a token with this set's id as `jti` was handed out."""
        self._tokens[auth_set.id] = auth_set.device_id
        self._devices[auth_set.device_id].check_in = self._clock()

    def check(self, jti: str) -> Device:
        """The device a token speaks for. Fails closed: raises UnauthorizedError when it may not (any more)."""
        self._sweep()
        auth_set = self._sets.get(jti)
        if jti not in self._tokens or auth_set is None or auth_set.status is not Status.ACCEPTED:
            raise UnauthorizedError("token revoked")
        device = self._devices[auth_set.device_id]
        if device.decommissioning:
            raise UnauthorizedError("device is being decommissioned")
        device.check_in = self._clock()
        return device

    # People and gateways manage

    def preauthorize(self, identity: Identity, pubkey: str, *, force: bool = False) -> str:
        """Announce a device; returns the id for `Location`, which is a fresh one when `force` met a known device."""
        self._sweep()
        device = self._by_identity.get(identity.sha256)
        if device is None:
            device = self._add_device(identity, Status.PREAUTHORIZED)
            self._add_set(device, pubkey, Status.PREAUTHORIZED)
            return device.id
        if not force:
            raise DeviceExistsError(device)
        known = device.auth_sets.get(pubkey)
        if known:
            known.status = Status.PREAUTHORIZED
        else:
            self._add_set(device, pubkey, Status.PREAUTHORIZED)
        return str(uuid4())

    def set_status(self, device_id: str, auth_id: str, status: Status) -> None:
        """A person's decision about one auth set; the same status again changes nothing."""
        auth_set = self.auth_set(auth_id)
        if auth_set.device_id != device_id:
            raise BadRequestError("dev auth: dev ID and auth ID mismatch")
        if auth_set.status is status:
            return
        if auth_set.status not in _ALLOWED.get(status, ()):
            raise BadRequestError("dev auth: bad request")
        device = self._devices[device_id]
        if status is Status.ACCEPTED and device.status is not Status.ACCEPTED:
            self._check_limit()
        will_change = _best(status, device.status) is not device.status or auth_set.status is device.status
        self._set_set_status(device, auth_set, status)
        if will_change:
            self._set_device_status(device, status if status is Status.ACCEPTED else _aggregate(device))

    def delete_auth_set(self, device_id: str, auth_id: str) -> None:
        """Forget one auth set; a device that was only preauthorized goes with its last set."""
        auth_set = self.auth_set(auth_id)
        device = self._devices[auth_set.device_id]
        if device.id != device_id:
            raise NotFoundError("authorization set not found")
        del device.auth_sets[auth_set.pubkey], self._sets[auth_id]
        if auth_set.status is Status.ACCEPTED:
            self._revoke_tokens(device)
        status = _aggregate(device)
        if auth_set.status is Status.PREAUTHORIZED and status is Status.NOAUTH:
            self._remove(device)
        else:
            self._set_device_status(device, status)

    def decommission(self, device_id: str) -> None:
        """Flag the device; it is gone `decommission_delay` seconds later, and until then gets nothing."""
        device = self.device(device_id)
        device.decommissioning = True
        self._leaving[device_id] = self._clock() + dt.timedelta(seconds=self.decommission_delay)

    def revoke_token(self, jti: str) -> None:
        """Take back the tokens of one auth set; the device may ask for a new one."""
        if self._tokens.pop(jti, None) is None:
            raise NotFoundError("token not found")

    def revoke_all_tokens(self) -> None:
        """Take back every device token, as after a change of the server's key."""
        self._tokens.clear()

    # Look

    def device(self, device_id: str) -> Device:
        """One device; raises NotFoundError."""
        self._sweep()
        if device_id not in self._devices:
            raise NotFoundError("device not found")
        return self._devices[device_id]

    def auth_set(self, auth_id: str) -> AuthSet:
        """One auth set; raises NotFoundError."""
        self._sweep()
        if auth_id not in self._sets:
            raise NotFoundError("authorization set not found")
        return self._sets[auth_id]

    def find(self, identity: Identity) -> Device | None:
        """The device of an identity; not in Mender's API, for tests and the page."""
        self._sweep()
        return self._by_identity.get(identity.sha256)

    def devices(self, statuses: Collection[str] = (), ids: Collection[str] = ()) -> list[Device]:
        """Devices sorted by status and id, those of these statuses and ids; an empty filter lets all through."""
        self._sweep()
        chosen = [d for d in self._devices.values() if (not statuses or d.status in statuses)]
        wanted = set(ids)
        return sorted((d for d in chosen if not wanted or d.id in wanted), key=lambda d: (d.status, d.id))

    def count(self, status: Status | None = None) -> int:
        """Devices of one status, or all."""
        self._sweep()
        return len(self._devices) if status is None else self._counts[status]

    # Inside

    def _add_device(self, identity: Identity, status: Status) -> Device:
        now = self._clock()
        device = Device(str(uuid4()), identity, status, now, now)
        self._devices[device.id] = self._by_identity[identity.sha256] = device
        self._counts[status] += 1
        return device

    def _add_set(self, device: Device, pubkey: str, status: Status) -> AuthSet:
        auth_set = AuthSet(str(uuid4()), device.id, pubkey, status, self._clock())
        device.auth_sets[pubkey] = self._sets[auth_set.id] = auth_set
        return auth_set

    def _set_set_status(self, device: Device, auth_set: AuthSet, status: Status) -> None:
        """At most one set is accepted; tokens go when a set stops being so by a person's decision."""
        if status is Status.ACCEPTED:
            for other in device.auth_sets.values():
                if other.status is Status.ACCEPTED:
                    other.status = Status.REJECTED
        elif auth_set.status is Status.ACCEPTED:
            self._revoke_tokens(device)
        auth_set.status = status

    def _set_device_status(self, device: Device, status: Status) -> None:
        if device.status is not status:
            self._counts[device.status] -= 1
            self._counts[status] += 1
            device.status, device.updated = status, self._clock()

    def _check_limit(self) -> None:
        if self.limit != UNLIMITED and self._counts[Status.ACCEPTED] + 1 > self.limit:
            raise LimitError("maximum number of accepted devices reached")

    def _revoke_tokens(self, device: Device) -> None:
        for auth_set in device.auth_sets.values():
            self._tokens.pop(auth_set.id, None)

    def _sweep(self) -> None:
        if self._leaving:
            now = self._clock()
            for device_id in [key for key, end in self._leaving.items() if end <= now]:
                self._remove(self._devices[device_id])

    def _remove(self, device: Device) -> None:
        self._revoke_tokens(device)
        for auth_set in device.auth_sets.values():
            del self._sets[auth_set.id]
        del self._devices[device.id], self._by_identity[device.identity.sha256]
        self._leaving.pop(device.id, None)
        self._counts[device.status] -= 1
        for listener in self.on_removed:
            listener(device.id)


def _best(one: Status, other: Status) -> Status:
    return max(one, other, key=_WEIGHT.__getitem__)


def _aggregate(device: Device) -> Status:
    """The best of the device's sets (deviceauth `datastore_mongo.go`, getDeviceStatus)."""
    statuses = Counter(auth_set.status for auth_set in device.auth_sets.values())
    if statuses[Status.ACCEPTED] > 1 or statuses[Status.PREAUTHORIZED] > 1:
        raise StatusBrokenError("cannot qualify device status")
    return max(statuses, key=_WEIGHT.__getitem__, default=Status.NOAUTH)
