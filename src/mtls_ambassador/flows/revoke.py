"""An operator takes certificates back, or lifts a hold: the journal, the database and the audit all say so."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import Revocation, RevocationReason, serial_hex
from mtls_ambassador.pki.journal import Journal, JournalState
from mtls_ambassador.store import revocations
from mtls_ambassador.store.audit import AuditEntry, append_all
from mtls_ambassador.store.chain import hold_head
from mtls_ambassador.store.database import Database

Standing = Mapping[bytes, Mapping[int, RevocationReason]]
"""By CA and serial, why it is revoked."""


@dataclass(frozen=True, slots=True)
class Target:
    """A certificate to be taken back, whether made here or not."""

    issuer_sha256: bytes
    serial: int
    name: str = ""
    subject: str = ""
    spki_sha256: bytes | None = None
    not_after: dt.datetime | None = None

    @property
    def key(self) -> tuple[bytes, int]:
        """Issuer and serial."""
        return self.issuer_sha256, self.serial


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants done to them, who it is, and when."""

    reason: RevocationReason
    by: str
    at: dt.datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What came of it, in the order asked."""

    changed: tuple[Target, ...]
    """Revoked now or, for removeFromCRL, in force again."""
    already: tuple[tuple[Target, Revocation], ...]
    """Revoked before, for good: that stays as it is."""


def revoke(database: Database, journal: Journal, targets: Sequence[Target], order: Order, *, dry_run: bool) -> Revoked:
    """Revoke the targets, all or none. A hold may become final or be lifted; nothing else can be undone.

    Raises AmbassadorError when a hold is to be lifted that is none (RFC 5280 section 5.3.1). With `dry_run` nothing
    is changed. Fails closed: when the end of it is lost in a crash, what was to be revoked is, and a hold stays.
    """
    unique = list({target.key: target for target in targets}.values())
    with database.transaction() as connection:
        hold_head(connection)  # one such command at a time, on PostgreSQL too
        take_over(connection, journal.read(), order.at)
        before = revocations.find(connection, (target.key for target in unique))
        if order.reason is RevocationReason.REMOVE_FROM_CRL:
            held = [(target, _held(target, before.get(target.key))) for target in unique]
            done = Revoked(tuple(unique), ())
        else:
            held = []
            done = _divide(unique, before, order.reason)
        if dry_run:
            connection.rollback()  # what was taken over from the journal, too
            return done
        if held:
            revocations.lift(connection, (target.key for target, _ in held))
        else:
            _record(connection, journal, done.changed, order)
        append_all(connection, (_entry(target, order) for target in done.changed))
    journal.lifted((revocation for _, revocation in held), order.at)
    return done


def _divide(targets: list[Target], before: dict[tuple[bytes, int], Revocation], reason: RevocationReason) -> Revoked:
    changed, already = [], []
    for target in targets:
        known = before.get(target.key)
        is_hold = known is not None and known.reason is RevocationReason.CERTIFICATE_HOLD
        if known is None or (is_hold and reason is not RevocationReason.CERTIFICATE_HOLD):
            changed.append(target)
        else:
            already.append((target, known))
    return Revoked(tuple(changed), tuple(already))


def _held(target: Target, known: Revocation | None) -> Revocation:
    if known is not None and known.reason is RevocationReason.CERTIFICATE_HOLD:
        return known
    state = f"is revoked for good ({known.reason})" if known else "is not revoked"
    raise AmbassadorError(
        f"serial {serial_hex(target.serial)}{f' ({target.name})' if target.name else ''} {state}:"
        " removeFromCRL only lifts a certificateHold (RFC 5280 section 5.3.1); nothing was changed"
    )


def _record(connection: sa.Connection, journal: Journal, targets: Sequence[Target], order: Order) -> None:
    items = [
        Revocation(*target.key, order.reason, order.at, order.by, order.note, target.not_after) for target in targets
    ]
    journal.revoked(items)
    revocations.revoke(connection, items)


def _entry(target: Target, order: Order) -> AuditEntry:
    is_lift = order.reason is RevocationReason.REMOVE_FROM_CRL
    return AuditEntry(
        at=order.at,
        event="lift-hold" if is_lift else "revoke",
        reason=order.reason.value,
        detail=f"by {order.by}" + (f": {order.note}" if order.note else ""),
        certificate_serial=serial_hex(target.serial),
        certificate_subject=target.subject or target.name,
        certificate_issuer=target.issuer_sha256.hex(),
        certificate_spki_sha256=target.spki_sha256.hex() if target.spki_sha256 else "",
    )


def take_over(
    connection: sa.Connection, noted: JournalState, now: dt.datetime, known: Standing | None = None
) -> list[Revocation]:
    """Put back what the journal has and the database lost, such as by being restored from a backup; returns that.

    `known` is what the database has, of the CAs that matter; it is read when not given, of all.
    """
    hold = RevocationReason.CERTIFICATE_HOLD
    if known is None:
        known = {issuer: revocations.standing(connection, issuer) for issuer in {key[0] for key in noted.lines}}
    lost = []
    for key, line in noted.lines.items():
        if key[0] not in known:
            continue
        there = known[key[0]].get(key[1])
        if there is None or (there is hold and line["reason"] != hold):
            lost.append(noted.revocation(key))
    revocations.revoke(connection, lost)
    if lost:
        detail = f"{len(lost)} that only the journal had"
        append_all(connection, [AuditEntry(now, "revocations-restored", "journal", detail)])
    return lost
