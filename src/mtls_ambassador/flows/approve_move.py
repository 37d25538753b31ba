"""An operator lets a certificate speak for an identity that another certificate enrolled before."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import Pin
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import devices
from mtls_ambassador.store.audit import AuditEntry, append
from mtls_ambassador.store.database import SQLITE_FILE, Database, make_engine
from mtls_ambassador.store.tables import device


@dataclass(frozen=True, slots=True)
class Approved:
    """What the approval changed; nothing of Mender's records is touched."""

    holders: tuple[Pin, ...]
    """The keys that spoke for the identity so far, and no longer do."""
    is_known: bool
    """Whether the gateway had seen the identity before."""


def require_store(settings: StoreSettings) -> None:
    """Raise AmbassadorError when no gateway has kept records there: a mistyped setting must not make a new database."""
    file = _sqlite_file(settings)
    name = "MTLS_STATE_DIR" if settings.database_url is None else "MTLS_DATABASE_URL"
    hint = f"set {name} as the gateway has it; it makes its records when it first starts"
    if file is not None and not (file.is_file() and file.stat().st_size):
        raise AmbassadorError(f"{name}: there are no records of a gateway at {file}; {hint}")
    database = Database(make_engine(settings))
    try:
        with database.snapshot() as connection:
            if not sa.inspect(connection).has_table(device.name):
                raise AmbassadorError(f"{name}: the database holds no records of a gateway; {hint}")
    finally:
        database.close()


def _sqlite_file(settings: StoreSettings) -> Path | None:
    if settings.database_url is None:
        return settings.state_dir / SQLITE_FILE
    url = sa.make_url(settings.database_url.reveal())
    return Path(url.database or "") if url.drivername == "sqlite" else None


async def approve_move(
    database: Database, identity: Identity, certificate: DeviceCertificate, by: str, now: dt.datetime
) -> Approved:
    """Move the identity and record who approved it; it takes effect at the next auth request of either device."""

    def work(connection: sa.Connection) -> Approved:
        before = devices.read_pins(connection, identity, certificate)
        is_known = devices.read_record(connection, identity) is not None or bool(before.holders)
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
        return Approved(before.holders, is_known)

    return await database.run(work)
