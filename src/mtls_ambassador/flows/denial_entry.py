"""What the audit says of a denial."""

import datetime as dt

from mtls_ambassador.model.denial import Denial
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.revocation import serial_hex
from mtls_ambassador.store.audit import AuditEntry


def until_text(until: dt.datetime | None) -> str:
    """How long, in words."""
    return f"until {until:%Y-%m-%d %H:%M} UTC" if until else "for good"


def entry(
    event: str, item: Denial, at: dt.datetime, how: str, identity: Identity | None = None, done: Denial | None = None
) -> AuditEntry:
    """What the audit says of a denial; `done` has who lifts it and why, when it is lifted."""
    who = done or item
    end = f", {until_text(item.until)}" if item.until and done is None else ""
    return AuditEntry(
        at=at,
        event=event,
        reason=item.reason,
        detail=f"{how}{item.what}{end}, by {who.by}" + (f": {who.note}" if who.note else ""),
        identity_sha256=identity.sha256 if identity else "",
        identity=identity.canonical if identity else "",
        certificate_serial="" if item.serial is None else serial_hex(item.serial).lower(),
        certificate_issuer=item.issuer,
        certificate_spki_sha256=item.spki_sha256,
    )
