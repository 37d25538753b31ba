"""Denials, and the certificates that they hit. Each function works in the caller's transaction."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.store.chain import hold_head
from mtls_ambassador.store.denial_tables import denial, denylist_head, seen
from mtls_ambassador.store.pki_tables import certificate, revocation

columns = (
    denial.c.kind,
    denial.c.reason,
    denial.c.by,
    denial.c.at,
    denial.c.issuer,
    denial.c.serial,
    denial.c.spki_sha256,
    denial.c.batch_id,
    denial.c.begins,
    denial.c.ends,
    denial.c.note,
    denial.c.until,
    denial.c.id,
)
"""Those that `as_denial` takes."""
_STANDING = denial.c.lifted_at.is_(None)
_ALL = sa.select(*columns).where(_STANDING).order_by(denial.c.id)
_HISTORY = sa.select(*columns, denial.c.lifted_at, denial.c.lifted_by).order_by(denial.c.id)
_SERIAL = sa.bindparam("its_serial", type_=denial.c.serial.type)
_ITS_BATCHES = sa.select(certificate.c.batch_id).where(
    certificate.c.serial == _SERIAL, certificate.c.batch_id.is_not(None)
)
_HITS = _ALL.where(
    sa.or_(
        denial.c.serial == _SERIAL,
        denial.c.batch_id.in_(_ITS_BATCHES),
        denial.c.spki_sha256 == sa.bindparam("its_spki"),
        denial.c.kind.in_((DenialKind.DATES.value, DenialKind.CA.value, DenialKind.UNSEEN.value)),
    )
)
_REACHES_NEW = (
    sa.select(denial.c.id).where(denial.c.kind.in_((DenialKind.KEY.value, DenialKind.BATCH.value)), _STANDING).limit(1)
)
_AUTHORITY = certificate.alias()
_TAKEN_BACK = (
    sa.select(revocation.c.reason, revocation.c.by, revocation.c.at, revocation.c.note)
    .select_from(
        revocation.outerjoin(
            certificate,
            sa.and_(
                certificate.c.serial == revocation.c.serial, certificate.c.issuer_sha256 == revocation.c.issuer_sha256
            ),
        )
    )
    .where(
        revocation.c.serial == _SERIAL,
        sa.or_(
            # The table has no issuer's text: a record of ours is known by its key, and by its serial while it has none.
            certificate.c.spki_sha256 == sa.bindparam("its_key", type_=certificate.c.spki_sha256.type),
            sa.and_(certificate.c.id.is_not(None), certificate.c.spki_sha256.is_(None)),
            sa.and_(
                certificate.c.id.is_(None),
                sa.exists().where(
                    _AUTHORITY.c.spki_sha256 == revocation.c.issuer_sha256,
                    _AUTHORITY.c.subject == sa.bindparam("its_issuer"),
                ),
            ),
        ),
    )
)
_VERSION = sa.select(denylist_head.c.version)
_TOUCH = sa.update(denylist_head).values(version=denylist_head.c.version + 1)
_CLOSE = _TOUCH.values(closings=denylist_head.c.closings + 1)
_ITS_ROW = sa.and_(
    seen.c.issuer == sa.bindparam("its_issuer"), seen.c.serial == sa.bindparam("its_serial", type_=seen.c.serial.type)
)
_SEEN = sa.select(seen.c.identity_sha256, seen.c.fingerprint_sha256).where(_ITS_ROW)
_FINGERPRINT = sa.update(seen).where(_ITS_ROW).values(fingerprint_sha256=sa.bindparam("its_print"))
_SEEN_KEY = sa.select(seen.c.spki_sha256).where(seen.c.spki_sha256 == sa.bindparam("its_spki"))
_INSERT_SEEN = sa.insert(seen).values(
    batch_id=sa.select(sa.func.max(certificate.c.batch_id))
    .where(
        certificate.c.serial == _SERIAL,
        certificate.c.spki_sha256 == sa.bindparam("its_key", type_=certificate.c.spki_sha256.type),
    )
    .scalar_subquery()
)


def version(connection: sa.Connection) -> int:
    """Grows with every change."""
    return int(connection.execute(_VERSION).scalar_one())


def add(connection: sa.Connection, denials: Iterable[Denial]) -> None:
    """Record denials."""
    values = [
        {
            "kind": item.kind.value,
            "issuer": item.issuer,
            "serial": item.serial,
            "spki_sha256": item.spki_sha256,
            "batch_id": item.batch_id,
            "begins": item.begins,
            "ends": item.ends,
            "reason": item.reason,
            "by": item.by,
            "note": item.note,
            "at": item.at,
            "until": item.until,
            "lifted_by": "",
        }
        for item in denials
    ]
    if values:
        connection.execute(sa.insert(denial), values)
        touch(connection)


def lift(connection: sa.Connection, numbers: Iterable[int], by: str, at: dt.datetime) -> None:
    """These are in force no longer; their rows stay."""
    values = [{"its_id": number} for number in numbers]
    if values:
        chosen = sa.update(denial).where(denial.c.id == sa.bindparam("its_id"), _STANDING)
        connection.execute(chosen.values(lifted_at=at, lifted_by=by), values)
        touch(connection)


def touch(connection: sa.Connection) -> None:
    """Have every gateway look again at what is denied: after each change of denials, revocations, or their reach.

    The audit's head is held first, as everywhere: else two transactions may wait for each other.
    """
    hold_head(connection)
    connection.execute(_TOUCH)


def touch_if_any_reaches_new(connection: sa.Connection) -> None:
    """As `touch`, after certificates were recorded, which a denial of their key or batch hits."""
    if connection.execute(_REACHES_NEW).first() is not None:
        touch(connection)


def close_connections(connection: sa.Connection) -> None:
    """Have every gateway close the connections that are open, once it has what was recorded before."""
    connection.execute(_CLOSE)


def closings(connection: sa.Connection) -> int:
    """How often that was asked for."""
    return int(connection.execute(sa.select(denylist_head.c.closings)).scalar_one())


def restored_serials(connection: sa.Connection) -> list[tuple[bytes, dt.datetime]]:
    """Serials, in 20 octets, that an operator has let in again, of whatever issuer, and when."""
    standing_too = denial.alias()
    is_named = sa.exists().where(standing_too.c.serial == denial.c.serial, standing_too.c.lifted_at.is_(None))
    last = sa.type_coerce(sa.func.max(denial.c.lifted_at), denial.c.lifted_at.type)
    is_of_any = sa.and_(
        denial.c.kind == DenialKind.SERIAL.value, denial.c.issuer == "", denial.c.lifted_at.is_not(None)
    )
    lifted = sa.select(_raw(denial.c.serial), last).where(is_of_any, sa.not_(is_named)).group_by(denial.c.serial)
    return [(row[0], row[1]) for row in connection.execute(lifted)]


def standing(connection: sa.Connection) -> list[Denial]:
    """All that were not lifted, those whose time is over included."""
    return [as_denial(row) for row in connection.execute(_ALL)]


def standing_but_serials(connection: sa.Connection) -> list[Denial]:
    """As `standing`, without those by serial, which alone may be many."""
    return [as_denial(row) for row in connection.execute(_ALL.where(denial.c.kind != DenialKind.SERIAL.value))]


def serials_in_force(connection: sa.Connection, now: dt.datetime) -> list[tuple[str, bytes]]:
    """Issuer, empty for any, and serial in 20 octets, of each denial by serial in force."""
    chosen = sa.select(denial.c.issuer, _raw(denial.c.serial)).where(
        denial.c.kind == DenialKind.SERIAL.value, _STANDING, sa.or_(denial.c.until.is_(None), denial.c.until > now)
    )
    return [(row[0], row[1]) for row in connection.execute(chosen)]


def next_end(connection: sa.Connection, now: dt.datetime) -> dt.datetime | None:
    """When the first of those in force ends by itself."""
    found: dt.datetime | None = connection.scalar(
        sa.select(sa.func.min(denial.c.until)).where(_STANDING, denial.c.until > now)
    )
    return found


def history(connection: sa.Connection) -> list[tuple[Denial, dt.datetime | None, str]]:
    """All that ever were, each with when and by whom it was lifted; None and empty when it was not."""
    return [(as_denial(row[:-2]), row[-2], row[-1]) for row in connection.execute(_HISTORY)]


def that_hit(
    connection: sa.Connection, certificate: DeviceCertificate, now: dt.datetime, *, is_issuer_known: bool = True
) -> list[Denial]:
    """Those in force that name this certificate, its key, its batch, its time or its CA, and its revocation, if any.

    When its issuer is no CA of the bundle, those of every issuer count: whoever has a denied CA's key names it as they
    like. One that was not made here is told by a CA of the records alone; the gateway's list has what names other CAs.
    """
    asked = {"its_serial": certificate.serial, "its_spki": certificate.spki_sha256}
    rows = map(as_denial, connection.execute(_HITS, asked).all())
    hits = [
        item for item in rows if item.is_in_force(now) and _names(item, certificate, is_issuer_known=is_issuer_known)
    ]
    hits += _taken_back(connection, certificate)
    if any(item.kind is DenialKind.UNSEEN for item in hits) and connection.execute(_SEEN_KEY, asked).first():
        return [item for item in hits if item.kind is not DenialKind.UNSEEN]
    return hits


def _taken_back(connection: sa.Connection, certificate: DeviceCertificate) -> list[Denial]:
    """What `pki revoke` says of it, as a denial; a hold counts until it is lifted."""
    asked = {
        "its_serial": certificate.serial,
        "its_key": bytes.fromhex(certificate.spki_sha256),
        "its_issuer": certificate.issuer,
    }
    return [
        Denial(DenialKind.SERIAL, reason, by, at, issuer=certificate.issuer, serial=certificate.serial, note=note)
        for reason, by, at, note in connection.execute(_TAKEN_BACK, asked)
    ]


def _names(item: Denial, certificate: DeviceCertificate, *, is_issuer_known: bool) -> bool:
    if is_issuer_known and item.issuer not in {"", certificate.issuer}:
        return False
    match item.kind:
        case DenialKind.SERIAL:
            return item.serial == certificate.serial
        case DenialKind.KEY:
            return item.spki_sha256 == certificate.spki_sha256
        case DenialKind.DATES:
            return item.covers(certificate.not_before)
        case DenialKind.CA | DenialKind.BATCH | DenialKind.UNSEEN:
            return True


def remember(connection: sa.Connection, identity: Identity, certificate: DeviceCertificate, now: dt.datetime) -> None:
    """A device was accepted with this certificate."""
    asked = {"its_issuer": certificate.issuer, "its_serial": certificate.serial}
    known = connection.execute(_SEEN, asked).first()
    if known is not None and not known.fingerprint_sha256:  # of before it was kept
        connection.execute(_FINGERPRINT, asked | {"its_print": certificate.fingerprint_sha256})
    elif known is None:
        values = {
            "issuer": certificate.issuer,
            "serial": certificate.serial,
            "spki_sha256": certificate.spki_sha256,
            "subject": certificate.subject,
            "not_before": certificate.not_before,
            "identity_sha256": identity.sha256,
            "first_at": now,
            "fingerprint_sha256": certificate.fingerprint_sha256,
            "its_serial": certificate.serial,
            "its_key": bytes.fromhex(certificate.spki_sha256),
        }
        connection.execute(_INSERT_SEEN, values)


def serials_of_key(
    connection: sa.Connection, spki_sha256: str
) -> tuple[list[tuple[str, bytes]], list[tuple[bytes, bytes]]]:
    """Certificates of a key: those that devices showed, by issuer's text; those made here, by its SPKI's hash.

    Serials are 20 octets.
    """
    of_shown = sa.select(seen.c.issuer, _raw(seen.c.serial)).where(seen.c.spki_sha256 == spki_sha256)
    of_made = sa.select(certificate.c.issuer_sha256, _raw(certificate.c.serial))
    made = connection.execute(of_made.where(certificate.c.spki_sha256 == bytes.fromhex(spki_sha256)))
    return [(row[0], row[1]) for row in connection.execute(of_shown)], [(row[0], row[1]) for row in made]


def serials_of_batch(connection: sa.Connection, batch_id: int) -> list[tuple[bytes, bytes]]:
    """Hash of the issuer's SPKI and serial, in 20 octets, of each certificate of a batch."""
    chosen = sa.select(certificate.c.issuer_sha256, _raw(certificate.c.serial))
    return [(row[0], row[1]) for row in connection.execute(chosen.where(certificate.c.batch_id == batch_id))]


def revoked_serials(connection: sa.Connection) -> list[tuple[bytes, bytes]]:
    """The same of each certificate that a CA of ours has revoked (`pki revoke`)."""
    return [
        (row[0], row[1]) for row in connection.execute(sa.select(revocation.c.issuer_sha256, _raw(revocation.c.serial)))
    ]


def _raw(column: sa.Column[Any]) -> sa.ColumnElement[bytes]:
    return sa.type_coerce(column, sa.LargeBinary)


def as_denial(row: Sequence[Any]) -> Denial:
    """From a row of `columns`."""
    kind, *rest = row
    return Denial(DenialKind(kind), *rest)
