"""A device that an operator denies is rejected or decommissioned in Mender too, when that is asked for.

Never the other way round by force: what a person rejected or decommissioned there is not undone from here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.device import AuthSetStatus
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.store.tables import device

_OPEN = {AuthSetStatus.ACCEPTED, AuthSetStatus.PREAUTHORIZED, AuthSetStatus.PENDING}


class InMender(StrEnum):
    """What is done there."""

    REJECT = "reject"
    """Every auth set; a person can accept the device again."""
    DECOMMISSION = "decommission"
    """The device and its history are removed."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one device."""

    identity: str
    device_id: str
    outcome: str
    """`rejected`, `decommissioned`, `unknown there`, or why it failed."""
    is_done: bool


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A device as the gateway recorded it."""

    identity: str
    device_id: str


def devices_of(connection: sa.Connection, identities: Iterable[str]) -> list[KnownDevice]:
    """Those of the identities (SHA-256, hex) that Mender has accepted once."""
    found = []
    for one in identities:
        chosen = sa.select(device.c.identity, device.c.device_id).where(
            device.c.identity_sha256 == one, device.c.device_id != ""
        )
        found += [KnownDevice(*row) for row in connection.execute(chosen)]
    return found


async def tell_mender(mender: MenderClient, devices: Iterable[KnownDevice], wanted: InMender) -> list[Told]:
    """Tell of each; one that fails does not keep the others from it."""
    told = []
    for one in devices:
        try:
            outcome, is_done = await _tell(mender, one.device_id, wanted), True
        except RefusedError as error:
            outcome, is_done = f"{error.reason.text}: {error.detail}" if error.detail else error.reason.text, False
        told.append(Told(one.identity, one.device_id, outcome, is_done))
    return told


async def _tell(mender: MenderClient, device_id: str, wanted: InMender) -> str:
    if wanted is InMender.DECOMMISSION:
        return "decommissioned" if await mender.decommission(device_id) else "unknown there"
    found = await mender.get_device(device_id)
    if found is None:
        return "unknown there"
    for auth_set in found.auth_sets:
        if auth_set.status in _OPEN:
            await mender.set_auth_set_status(device_id, auth_set.id, AuthSetStatus.REJECTED)
    return "rejected"
