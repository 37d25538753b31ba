"""All about one device that the store knows. Works in the caller's transaction."""

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from mtls_ambassador.decide.who_is_denied import DenialIndex
from mtls_ambassador.model.certificate import Named
from mtls_ambassador.model.denial import Denial
from mtls_ambassador.model.device import Pin, PinState
from mtls_ambassador.model.fleet_view import Contact, DeviceDetail, Event, SeenCertificate
from mtls_ambassador.store import denial_search, fleet_devices, ledger
from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.fleet_events import COLUMNS, as_event
from mtls_ambassador.store.ledger_tables import contact
from mtls_ambassador.store.pki_tables import certificate
from mtls_ambassador.store.tables import audit, pin

MOST = 50
"""Certificates and keys of a device, the newest."""
LAST = 20
"""Events and refusals."""
CONTACT = [contact.c[name] for name in Contact.__dataclass_fields__]


def read(connection: sa.Connection, identity_sha256: str, now: dt.datetime) -> DeviceDetail | None:
    """The device with this identity; None when there is no record of it."""
    row = fleet_devices.find(connection, identity_sha256)
    if row is None:
        return None
    pins = _pins(connection, identity_sha256)
    certificates = _certificates(connection, identity_sha256)
    keys = {item.spki_sha256 for item in pins} | {item.spki_sha256 for item in certificates} - {""}
    own = [("identity_sha256", identity_sha256), *(("spki_sha256", key) for key in sorted(keys))]
    return DeviceDetail(
        row,
        pins,
        certificates,
        tuple(_denials(connection, certificates, keys, now)),
        _events(connection, identity_sha256),
        # Of the identity, and of the keys that speak for it, whatever they asked for.
        tuple(ledger.about(connection, own, LAST)),
    )


def _pins(connection: sa.Connection, identity_sha256: str) -> tuple[Pin, ...]:
    chosen = sa.select(pin.c.spki_sha256, pin.c.issuer, pin.c.subject, pin.c.state)
    newest = chosen.where(pin.c.identity_sha256 == identity_sha256).order_by(pin.c.pinned_at.desc()).limit(MOST)
    return tuple(Pin(*row[:3], PinState(row.state)) for row in connection.execute(newest))


def _certificates(connection: sa.Connection, identity_sha256: str) -> tuple[SeenCertificate, ...]:
    chosen = (
        sa.select(
            seen.c.issuer,
            seen.c.serial,
            seen.c.subject,
            seen.c.spki_sha256,
            seen.c.fingerprint_sha256,
            seen.c.not_before,
            seen.c.first_at,
        )
        .where(seen.c.identity_sha256 == identity_sha256)
        .order_by(seen.c.first_at.desc())
        .limit(MOST)
    )
    rows = connection.execute(chosen).all()
    known = _contacts(connection, [row.fingerprint_sha256 for row in rows if row.fingerprint_sha256])
    return tuple(
        SeenCertificate(row.issuer, f"{row.serial:x}", *row[2:], known.get(row.fingerprint_sha256)) for row in rows
    )


def _contacts(connection: sa.Connection, fingerprints: Sequence[str]) -> dict[str, Contact]:
    chosen = sa.select(*CONTACT).where(contact.c.fingerprint_sha256.in_(fingerprints))
    return {row[0]: Contact(*row) for row in connection.execute(chosen)}


def _denials(
    connection: sa.Connection, certificates: Sequence[SeenCertificate], keys: set[str], now: dt.datetime
) -> list[Denial]:
    """Those in force that name one of its certificates, or one of its keys."""
    shown = [Named(item.issuer, int(item.serial, 16), item.spki_sha256, item.not_before) for item in certificates]
    named = [*shown, *(Named("", None, key) for key in keys)]
    others = [item for item in denial_search.that_may_hit(connection, named) if item.is_in_force(now)]
    serials = [item.serial for item in shown if item.serial is not None]
    of_batches: dict[int, list[int]] = {}
    chosen = sa.select(certificate.c.batch_id, certificate.c.serial).where(certificate.c.serial.in_(serials))
    for batch_id, serial in connection.execute(chosen.where(certificate.c.batch_id.is_not(None))):
        of_batches.setdefault(batch_id, []).append(serial)
    index = DenialIndex(others, of_batches)
    hits = {hit.number: hit for one in named for hit in index.that_hit(one)}
    return [hits[number] for number in sorted(hits)]


def _events(connection: sa.Connection, identity_sha256: str) -> tuple[Event, ...]:
    chosen = sa.select(*COLUMNS).where(audit.c.identity_sha256 == identity_sha256)
    return tuple(map(as_event, connection.execute(chosen.order_by(audit.c.id.desc()).limit(LAST))))
