"""Whom denials hit: certificates that devices have shown, and certificates that were made here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mtls_ambassador.model.certificate import Named
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.store.certificates import Status
from mtls_ambassador.store.denial_search import chunks
from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.pki_tables import certificate, revocation
from mtls_ambassador.store.tables import device

_SHOWN = sa.select(
    seen.c.issuer,
    seen.c.serial,
    seen.c.spki_sha256,
    seen.c.not_before,
    seen.c.identity_sha256,
    sa.func.coalesce(device.c.identity, ""),
    seen.c.subject,
).select_from(seen.outerjoin(device, device.c.identity_sha256 == seen.c.identity_sha256))
_MADE = sa.select(
    certificate.c.issuer_sha256,
    certificate.c.serial,
    certificate.c.spki_sha256,
    certificate.c.not_before,
    certificate.c.name,
).where(certificate.c.status.in_([Status.ISSUED.value, Status.DONE.value]))


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate with which a device was accepted."""

    named: Named
    identity_sha256: str
    identity: str
    """Empty when the device is not known any more."""
    subject: str

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.identity} ({self.subject})" if self.identity else self.subject


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate of the records."""

    named: Named
    name: str


def shown(connection: sa.Connection, items: Iterable[Denial]) -> list[Shown]:
    """Certificates shown by devices that these hit, each once."""
    found: dict[tuple[str, int], Shown] = {}
    for clause in _shown_clauses(list(items)):
        for row in connection.execute(_SHOWN.where(clause)):
            found[row[0], row[1]] = Shown(Named(*row[:4]), *row[4:])
    return list(found.values())


def shown_by(connection: sa.Connection, identities: Iterable[str]) -> list[Shown]:
    """Certificates shown by the devices with these identities."""
    rows = (
        row
        for chunk in chunks(list(identities))
        for row in connection.execute(_SHOWN.where(seen.c.identity_sha256.in_(chunk)).order_by(seen.c.first_at))
    )
    return [Shown(Named(*row[:4]), *row[4:]) for row in rows]


def made(connection: sa.Connection, items: Iterable[Denial], authorities: Mapping[str, bytes]) -> list[Made]:
    """Certificates of the records that these hit, each once.

    `authorities` are the CAs that are known: SHA-256 of the SPKI by the subject's RFC 4514 text.
    """
    names = {issuer: name for name, issuer in authorities.items()}
    found: dict[tuple[bytes, int], Made] = {}
    for clause in _made_clauses(list(items), authorities):
        for row in connection.execute(_MADE.where(clause)):
            spki = row[2].hex() if row[2] else ""
            found[row[0], row[1]] = Made(Named(names.get(row[0], ""), row[1], spki, row[3]), row[4])
    return list(found.values())


def _shown_clauses(items: Sequence[Denial]) -> Iterator[sa.ColumnElement[bool]]:
    for issuer, serials in _serials(items):
        chosen = seen.c.serial.in_(serials)
        yield sa.and_(chosen, seen.c.issuer == issuer) if issuer else chosen
    for keys in chunks([item.spki_sha256 for item in items if item.kind is DenialKind.KEY]):
        yield seen.c.spki_sha256.in_(keys)
    for item in items:
        of_issuer = seen.c.issuer == item.issuer if item.issuer else sa.true()
        if item.kind is DenialKind.BATCH:
            yield seen.c.serial.in_(sa.select(certificate.c.serial).where(certificate.c.batch_id == item.batch_id))
        elif item.kind is DenialKind.DATES:
            yield sa.and_(of_issuer, seen.c.not_before >= item.begins, seen.c.not_before < item.ends)
        elif item.kind is DenialKind.CA:
            yield of_issuer


def _made_clauses(items: Sequence[Denial], authorities: Mapping[str, bytes]) -> Iterator[sa.ColumnElement[bool]]:
    for issuer, serials in _serials(items):
        chosen = certificate.c.serial.in_(serials)
        yield sa.and_(chosen, _of(issuer, authorities)) if issuer in authorities else chosen
    for keys in chunks([bytes.fromhex(item.spki_sha256) for item in items if item.kind is DenialKind.KEY]):
        yield certificate.c.spki_sha256.in_(keys)
    for item in items:
        if item.kind is DenialKind.BATCH:
            yield certificate.c.batch_id == item.batch_id
        elif item.kind is DenialKind.DATES:
            begins = certificate.c.not_before
            yield sa.and_(_of(item.issuer, authorities), begins >= item.begins, begins < item.ends)
        elif item.kind is DenialKind.CA:
            yield _of(item.issuer, authorities)
        elif item.kind is DenialKind.UNSEEN:
            known = sa.select(seen.c.serial).where(seen.c.issuer == item.issuer)
            yield sa.and_(_of(item.issuer, authorities), certificate.c.serial.not_in(known))


def _of(issuer: str, authorities: Mapping[str, bytes]) -> sa.ColumnElement[bool]:
    if not issuer:
        return sa.true()
    return certificate.c.issuer_sha256 == authorities[issuer] if issuer in authorities else sa.false()


def _serials(items: Sequence[Denial]) -> Iterator[tuple[str, Sequence[int]]]:
    """By issuer, in chunks."""
    named: dict[str, list[int]] = {}
    for item in items:
        if item.kind is DenialKind.SERIAL and item.serial is not None:
            named.setdefault(item.issuer, []).append(item.serial)
    for issuer, serials in named.items():
        for chunk in chunks(serials):
            yield issuer, chunk


def revoked(connection: sa.Connection, serials: Iterable[int]) -> list[int]:
    """Those of the serials that a CA of ours has revoked (`pki revoke`)."""
    chosen = sa.select(revocation.c.serial)
    return [
        row[0]
        for chunk in chunks(list(serials))
        for row in connection.execute(chosen.where(revocation.c.serial.in_(chunk)))
    ]
