"""A CA signs the list of what it has taken back; its number grows whatever was restored, and nothing is forgotten."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.flows.revoke import take_over
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import CrlEntry
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.crl import CrlHead, crl_pem, make_crl, number_of, refuse_without_right
from mtls_ambassador.pki.files import replace
from mtls_ambassador.pki.journal import CrlNote, Journal, JournalState
from mtls_ambassador.store import audit, revocations
from mtls_ambassador.store.audit import AuditEntry
from mtls_ambassador.store.chain import hold_head
from mtls_ambassador.store.database import Database
from mtls_ambassador.store.revocations import CrlRecord

MAX_NUMBER = 1 << 159
"""RFC 5280 section 5.2.3: a CRL's number has at most 20 octets."""


@dataclass(frozen=True, slots=True)
class CrlOrder:
    """What is wanted; times are aware."""

    now: dt.datetime
    lasts: dt.timedelta
    by: str
    path: Path
    """Where the CRL is written, and where the one before it is looked for."""
    keep_expired: bool = False


@dataclass(frozen=True, slots=True)
class WrittenCrl:
    """The CRL that now stands at the path."""

    number: int
    this_update: dt.datetime
    next_update: dt.datetime
    entries: int
    left_out: int
    """Certificates that expired since and were on a CRL after that (RFC 5280 section 3.3)."""
    restored: int
    """Revocations that only the journal had."""


@dataclass(frozen=True, slots=True)
class _Before:
    """The CRL before this one, from wherever it is known."""

    number: int = 0
    this_update: dt.datetime | None = None


def write_crl(
    database: Database, journal: Journal, authority: Authority, order: CrlOrder, check: Callable[[bytes], None]
) -> WrittenCrl:
    """Sign a CRL, look it over with `check`, which raises for what must not leave, and put it in place of the old one.

    Its number is above every one that the database, the journal or the file at the path knows. A number is noted
    before the CRL can be seen, so none stands for two lists, even after a crash.
    """
    refuse_without_right(authority.certificate)
    now = order.now.replace(microsecond=0)
    issuer = authority.issuer_sha256
    with database.transaction() as connection:
        hold_head(connection)  # one such command at a time, on PostgreSQL too
        end = audit.head(connection)  # of what is committed, whatever becomes of this transaction
        noted = journal.read()
        known = revocations.for_crl(connection, issuer)
        restored = take_over(connection, noted, order.now, {issuer: {item.serial: item.reason for item in known}})
        if restored:
            known = revocations.for_crl(connection, issuer)
        before = _latest(_known(noted, issuer, revocations.last_crl(connection, issuer)), order.path)
        entries = known if order.keep_expired else [item for item in known if not _may_go(item, before.this_update)]
        head = CrlHead(before.number + 1, now, now + order.lasts)
        if head.number >= MAX_NUMBER:
            raise AmbassadorError(f"{order.path}: its CRL number is the highest there can be; make a new CA")
        crl = make_crl(authority, head, entries)
        check(crl.sample)
        digest = hashlib.sha256(crl.der).digest()
        record = CrlRecord(issuer, head.number, head.this_update, head.next_update, len(entries), digest)
        revocations.record_crl(connection, record)
        audit.append(connection, _entry(authority, order, record))
        journal.crl_signed(CrlNote(issuer, head.number, head.this_update, end.last_id, end.hash))
        # Before the lock goes, lest an older list of another process replaces a newer one.
        replace(order.path, crl_pem(crl.der))
    return WrittenCrl(
        head.number, head.this_update, head.next_update, len(entries), len(known) - len(entries), len(restored)
    )


def _known(noted: JournalState, issuer: bytes, recorded: CrlRecord | None) -> Iterable[_Before]:
    yield _Before()
    if recorded is not None:
        yield _Before(recorded.number, recorded.this_update)
    if issuer in noted.last_crl:
        yield _Before(noted.last_crl[issuer].number, noted.last_crl[issuer].this_update)


def _latest(known: Iterable[_Before], path: Path) -> _Before:
    found = [*known, _in_file(path)]
    return max(found, key=lambda item: item.number)


def _in_file(path: Path) -> _Before:
    """Fails closed: a file that is no CRL is not replaced, for it is something else or its number is not known."""
    try:
        return _Before(*number_of(path.read_bytes()))
    except FileNotFoundError:
        return _Before()
    except OSError as error:
        raise AmbassadorError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AmbassadorError(f"{path}: is there and is no CRL in PEM form; move it away") from error


def _may_go(item: CrlEntry, before: dt.datetime | None) -> bool:
    """RFC 5280 section 3.3: not before it was on a CRL that was made after the certificate expired."""
    return before is not None and item.not_after is not None and item.not_after < before and item.at <= before


def _entry(authority: Authority, order: CrlOrder, record: CrlRecord) -> AuditEntry:
    return AuditEntry(
        at=order.now,
        event="crl",
        reason="signed",
        detail=f"number {record.number}, {record.entries} entries, SHA-256 {record.sha256.hex()}, by {order.by}",
        certificate_issuer=authority.issuer_sha256.hex(),
        certificate_subject=authority.certificate.subject.rfc4514_string(),
    )
