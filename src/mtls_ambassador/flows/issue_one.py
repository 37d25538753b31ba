"""One certificate, from the record of its serial to its files: a crash anywhere leaves no serial used twice.

The serial is recorded, the certificate signed and linted, its key written, the certificate recorded, its file written,
and then all is marked done. The same command again finishes what a crash left: it knows its work by the key.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.flows.revoke import Order, Target, revoke
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import RevocationReason
from mtls_ambassador.pki.authority import Authority, spki_sha256
from mtls_ambassador.pki.files import PRIVATE, locked, make_folder, read_file, write_new
from mtls_ambassador.pki.folder import pem_of
from mtls_ambassador.pki.issue import KeyKind, PrivateKey, make_key
from mtls_ambassador.pki.journal import Journal
from mtls_ambassador.pki.keys import encrypted_pem, load_key
from mtls_ambassador.pki.lint import LintGate
from mtls_ambassador.pki.profiles import PublicKey
from mtls_ambassador.pki.serial import new_serial
from mtls_ambassador.store.audit import AuditEntry, append
from mtls_ambassador.store.certificates import (
    Issued,
    Record,
    Reservation,
    Status,
    find,
    mark_done,
    mark_issued,
    mark_void,
    reserve,
)
from mtls_ambassador.store.database import Database

_KEY_BEGINS = b"-----BEGIN PRIVATE KEY-----"


class KeySource(Protocol):
    """Where the public key of a certificate comes from."""

    def present(self) -> PublicKey | None:
        """The key that is there already; None when one is to be made."""

    def make(self) -> PublicKey:
        """Make the key, in memory."""

    def keep(self) -> None:
        """Put the key that was made where it belongs."""


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A public key somebody else holds the private half of."""

    key: PublicKey

    def present(self) -> PublicKey:
        """The key."""
        return self.key

    def make(self) -> PublicKey:
        """Nothing is made."""
        return self.key

    def keep(self) -> None:
        """Nothing is kept."""


@dataclass(slots=True)
class KeyFile:
    """A private key in a file of its own, mode 0600, not encrypted: the device or server reads it by itself."""

    path: Path
    kind: KeyKind
    _made: PrivateKey | None = field(default=None, repr=False)

    def present(self) -> PublicKey | None:
        """The public half of the key in the file, if there is one; one cut off by a crash counts as none."""
        if not self.path.exists() or self._is_cut_off():
            return None
        return load_key(read_file(self.path, "the private key"), None, self.path).public_key()

    def make(self) -> PublicKey:
        """Make a key."""
        self._made = make_key(self.kind)
        return self._made.public_key()

    def keep(self) -> None:
        """Make the file, if a key was made for it."""
        if self._made is None:
            return
        make_folder(self.path.parent)
        if self.path.exists() and self._is_cut_off():
            self.path.unlink()
        write_new(self.path, encrypted_pem(self._made, None), PRIVATE)

    def _is_cut_off(self) -> bool:
        data = read_file(self.path, "the private key")
        return (not data or data.startswith(_KEY_BEGINS)) and b"-----END" not in data


@dataclass(frozen=True, slots=True)
class Request:
    """A certificate somebody wants."""

    name: str
    profile: str
    key: KeySource
    build: Callable[[PublicKey, int], x509.Certificate]
    """Signs a certificate of this key and serial; without side effect."""
    path: Path
    """Where the certificate goes."""
    chain: tuple[x509.Certificate, ...] = ()
    """What follows it in the file."""
    again: bool = False
    """The name may have a certificate in force already."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    certificate: x509.Certificate
    is_new: bool
    """False: an earlier run had signed it, and this one at most wrote the file."""


def issue_one(
    database: Database, journal: Journal, authority: Authority, request: Request, now: dt.datetime
) -> Outcome:
    """Issue a certificate and write its files. Raises AmbassadorError; then nothing is there that is not recorded."""
    with locked(journal.path.parent):
        present = request.key.present()
        with database.transaction() as connection:
            records = _records(connection, authority, request)
        finished = _finish(database, request, records, present, now)
        if finished is not None:
            return finished
        abandoned = [item for item in records if _is_ours(item) and item.status in {Status.RESERVED, Status.ISSUED}]
        _check_free(request, records, abandoned, now)
        abandon(database, journal, abandoned, now)
        return _issue(database, authority, request, present, now)


def _records(connection: sa.Connection, authority: Authority, request: Request) -> list[Record]:
    return [
        item
        for item in find(connection, name=request.name)
        if (item.issuer_sha256, item.profile) == (authority.issuer_sha256, request.profile)
    ]


def _is_ours(record: Record) -> bool:
    """Not of a batch: what a batch began is for that batch to finish."""
    return record.batch_id is None


def _finish(
    database: Database, request: Request, records: list[Record], present: PublicKey | None, now: dt.datetime
) -> Outcome | None:
    """Finish what an earlier run of the same command began; None when there is no such thing."""
    own = None if present is None else spki_sha256(present)
    for record in filter(_is_ours, reversed(records)):
        in_force = record.status in {Status.ISSUED, Status.DONE} and record.revoked_at is None
        if own is None or record.spki_sha256 != own or not in_force or record.der is None:
            continue
        if record.status is Status.DONE and request.again:
            continue
        certificate = x509.load_der_x509_certificate(record.der)
        _write(request, certificate)
        if record.status is Status.ISSUED:
            with database.transaction() as connection:
                mark_done(connection, [record.key], now)
        return Outcome(certificate, is_new=False)
    return None


def _check_free(request: Request, records: list[Record], abandoned: list[Record], now: dt.datetime) -> None:
    if request.path.exists():
        raise AmbassadorError(f"{request.path} is there already and is never overwritten")
    if isinstance(request.key, KeyFile) and request.key.path.exists() and not abandoned:
        raise AmbassadorError(f"{request.key.path} is there already and is never overwritten")
    for record in records:
        in_force = record.status is Status.DONE and record.revoked_at is None
        if in_force and not request.again and record.not_after is not None and record.not_after > now:
            raise AmbassadorError(
                f"{request.name} has a certificate already (serial {record.serial_hex}, until"
                f" {record.not_after:%Y-%m-%d}); `pki renew` makes its next, `pki revoke` takes it back,"
                " --again makes one more"
            )


def abandon(database: Database, journal: Journal, records: list[Record], now: dt.datetime) -> None:
    """What an earlier run left and nobody can finish: never used again and, if it was signed, revoked."""
    if not records:
        return
    signed = [item for item in records if item.status is Status.ISSUED]
    if signed:
        targets = [
            Target(*item.key, item.name, item.subject or "", item.spki_sha256, item.not_after) for item in signed
        ]
        order = Order(
            RevocationReason.SUPERSEDED, "mtls-ambassador", now, "lost in a crash before its files were there"
        )
        revoke(database, journal, targets, order, dry_run=False)
    with database.transaction() as connection:
        mark_void(connection, [item.key for item in records], now)


def _issue(
    database: Database, authority: Authority, request: Request, present: PublicKey | None, now: dt.datetime
) -> Outcome:
    serial = new_serial()
    key = (authority.issuer_sha256, serial)
    reservation = Reservation(serial, authority.issuer_sha256, request.name, request.profile, None, now)
    with database.transaction() as connection:
        reserve(connection, [reservation])
    try:
        certificate = request.build(present or request.key.make(), serial)
        LintGate().check(certificate.public_bytes(Encoding.DER))
        request.key.keep()
    except AmbassadorError:
        with database.transaction() as connection:
            mark_void(connection, [key], now)
        raise
    with database.transaction() as connection:
        mark_issued(connection, [issued(certificate, authority.issuer_sha256)])
        append(connection, _entry(request, certificate, now))
    _write(request, certificate)
    with database.transaction() as connection:
        mark_done(connection, [key], now)
    return Outcome(certificate, is_new=True)


def _entry(request: Request, certificate: x509.Certificate, now: dt.datetime) -> AuditEntry:
    return AuditEntry(
        at=now,
        event="certificate-issued",
        reason=request.profile,
        detail=request.name,
        certificate_serial=f"{certificate.serial_number:x}",
        certificate_subject=certificate.subject.rfc4514_string(),
        certificate_issuer=certificate.issuer.rfc4514_string(),
        certificate_spki_sha256=spki_sha256(certificate.public_key()).hex(),
    )


def issued(certificate: x509.Certificate, issuer_sha256: bytes) -> Issued:
    """A certificate as the store records it."""
    return Issued(
        serial=certificate.serial_number,
        issuer_sha256=issuer_sha256,
        der=certificate.public_bytes(Encoding.DER),
        spki_sha256=spki_sha256(certificate.public_key()),
        fingerprint=certificate.fingerprint(hashes.SHA256()),
        subject=certificate.subject.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _write(request: Request, certificate: x509.Certificate) -> None:
    """The certificate's file; one that holds it already is left as it is, one cut off by a crash is made anew."""
    data = pem_of((certificate, *request.chain))
    if request.path.exists():
        found = read_file(request.path, "the certificate")
        if found == data:
            return
        if data.startswith(found):
            request.path.unlink()
    make_folder(request.path.parent)
    write_new(request.path, data)
