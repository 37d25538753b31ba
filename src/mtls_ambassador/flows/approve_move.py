"""An operator lets a certificate speak for an identity that another certificate enrolled before."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import Pin
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.store import devices
from mtls_ambassador.store.audit import AuditEntry, append
from mtls_ambassador.store.database import Database


@dataclass(frozen=True, slots=True)
class Approved:
    """What the approval changed; nothing of Mender's records is touched."""

    holders: tuple[Pin, ...]
    """The keys that spoke for the identity so far, and no longer do."""


async def approve_move(
    database: Database, identity: Identity, certificate: DeviceCertificate, by: str, now: dt.datetime
) -> Approved:
    """Move the identity and record who approved it; it takes effect at the next auth request of either device."""

    def work(connection: sa.Connection) -> Approved:
        before = devices.read_pins(connection, identity, certificate)
        devices.move(connection, identity, certificate, now)
        append(
            connection,
            AuditEntry(
                at=now,
                event="approve-move",
                reason="approved",
                detail=f"by {by}",
                identity_sha256=identity.sha256,
                identity=identity.canonical,
                certificate_serial=certificate.serial_hex,
                certificate_subject=certificate.subject,
                certificate_issuer=certificate.issuer,
                certificate_spki_sha256=certificate.spki_sha256,
            ),
        )
        return Approved(before.holders)

    return await database.run(work)
