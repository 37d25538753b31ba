"""Devices, and the keys that speak for them. Each function works inside the caller's transaction."""

import datetime as dt

import sqlalchemy as sa

from mtls_ambassador.decide.enrol import claim_is_void
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import DeviceRecord, Pin, PinFacts, PinState, Standing
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.store.tables import device, pin

# Each statement is made once: to build one costs SQLAlchemy more than to run it.
_WHOSE = device.c.identity_sha256 == sa.bindparam("whose")
_RECORD = sa.select(
    device.c.standing, device.c.auth_key_sha256, device.c.device_id, device.c.claimed_by, device.c.updated_at
).where(_WHOSE)
_INSERT = sa.insert(device)
_UPDATE = sa.update(device).where(_WHOSE)
_ENROLLED = sa.func.coalesce(device.c.enrolled_at, sa.bindparam("now", type_=device.c.enrolled_at.type))
_ACCEPT = _UPDATE.values(enrolled_at=_ENROLLED)
_TAKE_OVER = _UPDATE.where(
    device.c.claimed_by == sa.bindparam("claimed_before"), device.c.updated_at == sa.bindparam("updated_before")
)
_OWN = sa.select(pin.c.identity_sha256, pin.c.state).where(pin.c.spki_sha256 == sa.bindparam("spki"))
_HOLDERS = sa.select(pin.c.spki_sha256, pin.c.issuer, pin.c.subject, pin.c.state).where(
    pin.c.identity_sha256 == sa.bindparam("whose"),
    pin.c.spki_sha256 != sa.bindparam("spki"),
    pin.c.state != PinState.RELEASED.value,
)
_SHARED = sa.select(
    sa.select(pin.c.spki_sha256)
    .where(
        pin.c.subject == sa.bindparam("subject"),
        pin.c.issuer == sa.bindparam("issuer"),
        pin.c.identity_sha256 != sa.bindparam("whose"),
    )
    .exists()
)
_INSERT_PIN = sa.insert(pin)
_SET_PIN = sa.update(pin).where(
    pin.c.spki_sha256 == sa.bindparam("spki"), pin.c.identity_sha256 == sa.bindparam("whose")
)


def read_record(connection: sa.Connection, identity: Identity) -> DeviceRecord | None:
    """The record of an identity."""
    row = connection.execute(_RECORD, {"whose": identity.sha256}).one_or_none()
    return DeviceRecord(Standing(row.standing), *row[1:]) if row else None


def read_pins(connection: sa.Connection, identity: Identity, certificate: DeviceCertificate) -> PinFacts:
    """What the pins say of this certificate and this identity; one look-up when the key holds it."""
    own = connection.execute(_OWN, {"spki": certificate.spki_sha256}).one_or_none()
    speaks_for, state = (own.identity_sha256, PinState(own.state)) if own else ("", None)
    if speaks_for == identity.sha256 and state is PinState.HELD:
        return PinFacts(speaks_for, state)
    asked = {
        "whose": identity.sha256,
        "spki": certificate.spki_sha256,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
    }
    holders = connection.execute(_HOLDERS, asked)
    return PinFacts(
        key_speaks_for=speaks_for,
        key_state=state,
        holders=tuple(Pin(*row[:3], PinState(row.state)) for row in holders),
        subject_is_shared=bool(connection.execute(_SHARED, asked).scalar_one()),
    )


def claim(connection: sa.Connection, identity: Identity, certificate: DeviceCertificate, now: dt.datetime) -> bool:
    """Reserve a new identity for a certificate while it is being enrolled; False when another has it.

    Two replicas may try at once: the primary key lets one through. A claim left by a process that died is taken over.
    """
    record = read_record(connection, identity)
    if record is None:
        values = _certificate_values(certificate) | {
            "identity_sha256": identity.sha256,
            "identity": identity.canonical,
            "standing": Standing.CLAIMED.value,
            "claimed_by": certificate.spki_sha256,
            "updated_at": now,
        }
        connection.execute(_INSERT, values)
        return True
    own = record.claimed_by == certificate.spki_sha256
    if record.standing is not Standing.CLAIMED or not (own or claim_is_void(record, now)):
        return False
    values = {
        "whose": identity.sha256,
        "claimed_before": record.claimed_by,
        "updated_before": record.updated_at,
        "claimed_by": certificate.spki_sha256,
        "updated_at": now,
    }
    return connection.execute(_TAKE_OVER, values).rowcount == 1


def release(connection: sa.Connection, identity: Identity, certificate: DeviceCertificate) -> None:
    """Drop a claim whose enrolment did not come through."""
    connection.execute(
        sa.delete(device).where(
            device.c.identity_sha256 == identity.sha256,
            device.c.standing == Standing.CLAIMED.value,
            device.c.claimed_by == certificate.spki_sha256,
        )
    )


def record_accepted(
    connection: sa.Connection,
    identity: Identity,
    certificate: DeviceCertificate,
    auth_key_sha256: str,
    device_id: str,
    now: dt.datetime,
) -> None:
    """Mender accepted this identity with this auth key; any other key of it is no longer the accepted one."""
    values = _certificate_values(certificate) | {
        "standing": Standing.ACCEPTED.value,
        "auth_key_sha256": auth_key_sha256,
        "device_id": device_id,
        "claimed_by": "",
        "updated_at": now,
    }
    if connection.execute(_ACCEPT, values | {"whose": identity.sha256, "now": now}).rowcount == 0:
        own = {"identity_sha256": identity.sha256, "identity": identity.canonical, "enrolled_at": now}
        connection.execute(_INSERT, values | own)


def record_withdrawn(connection: sa.Connection, identity: Identity, now: dt.datetime) -> None:
    """Mender accepted this identity once and no longer does."""
    values = {"standing": Standing.WITHDRAWN.value, "auth_key_sha256": "", "updated_at": now}
    connection.execute(_UPDATE, values | {"whose": identity.sha256})


def withdrawn(connection: sa.Connection) -> list[tuple[str, dt.datetime]]:
    """Identities that Mender accepted once and no longer does, and when that was seen."""
    chosen = sa.select(device.c.identity, device.c.updated_at).where(device.c.standing == Standing.WITHDRAWN.value)
    return [(row[0], row[1]) for row in connection.execute(chosen.order_by(device.c.updated_at))]


def pin_key(
    connection: sa.Connection, identity: Identity, certificate: DeviceCertificate, state: PinState, now: dt.datetime
) -> None:
    """Pin the certificate's key to the identity in this state. Raises IntegrityError when it is pinned to another."""
    asked = {"spki": certificate.spki_sha256, "whose": identity.sha256}
    if connection.execute(_SET_PIN, asked | {"state": state.value}).rowcount == 0:
        values = {
            "spki_sha256": certificate.spki_sha256,
            "identity_sha256": identity.sha256,
            "state": state.value,
            "issuer": certificate.issuer,
            "subject": certificate.subject,
            "pinned_at": now,
        }
        connection.execute(_INSERT_PIN, values)


def forget_key(connection: sa.Connection, certificate: DeviceCertificate) -> None:
    """Unpin a key that asked in vain, and of which Mender heard nothing."""
    connection.execute(sa.delete(pin).where(pin.c.spki_sha256 == certificate.spki_sha256))


def release_pins(connection: sa.Connection, identity: Identity) -> None:
    """Nobody holds the identity any longer, and each key still speaks for no other."""
    released = sa.update(pin).where(pin.c.identity_sha256 == identity.sha256)
    connection.execute(released.values(state=PinState.RELEASED.value))


def move(connection: sa.Connection, identity: Identity, certificate: DeviceCertificate, now: dt.datetime) -> None:
    """From now on this certificate's key holds the identity, and no other key does."""
    forget_key(connection, certificate)
    release_pins(connection, identity)
    pin_key(connection, identity, certificate, PinState.HELD, now)


def _certificate_values(certificate: DeviceCertificate) -> dict[str, object]:
    return {"certificate_serial": certificate.serial_hex[:64], "certificate_subject": certificate.subject}
