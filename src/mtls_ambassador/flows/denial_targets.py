"""What an operator means to deny or to let in again: by identity, serial, certificate, key, batch, dates or CA."""

import datetime as dt
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from mtls_ambassador.flows.revocation_targets import batches_named
from mtls_ambassador.model.certificate import DeviceCertificate, Named
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.store import denial_reach


@dataclass(frozen=True, slots=True)
class Selection:
    """What was named; each adds to the others."""

    identities: tuple[Identity, ...] = ()
    serials: tuple[int, ...] = ()
    certificates: tuple[DeviceCertificate, ...] = ()
    keys: tuple[str, ...] = ()
    """Hex SHA-256 of SPKIs in DER."""
    batches: tuple[str, ...] = ()
    """Names or numbers."""
    span: tuple[dt.datetime, dt.datetime] | None = None
    """Of the begin of validity; the end is not in it."""
    issuer: str = ""
    """A CA's RFC 4514 text: of the serials and of the span; alone, all of that CA's certificates."""
    is_unseen: bool = False
    """Of that CA only those with which no device was let in before."""


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to deny."""

    denial: Denial
    """Only what it names is meant."""
    certificate: Named | None = None
    """The certificate that named it, when there was one."""
    identity: Identity | None = field(default=None)
    """The device that named it."""


def find_targets(connection: sa.Connection, wanted: Selection, order: Denial) -> list[Target]:
    """Everything meant, each once, as denials like `order`. Raises FaultsError naming each thing that was not found."""
    faults: list[str] = []
    found = [
        *_by_identity(connection, wanted, order, faults),
        *_by_name(wanted, order),
        *_by_batch(connection, wanted, order, faults),
        *_by_time_and_authority(wanted, order),
    ]
    if faults:
        raise FaultsError([*faults, "nothing was changed"])
    return list({target.denial.content: target for target in reversed(found)}.values())[::-1]


def _by_identity(connection: sa.Connection, wanted: Selection, order: Denial, faults: list[str]) -> list[Target]:
    found = []
    for identity in wanted.identities:
        certificates = denial_reach.shown_by(connection, [identity.sha256])
        keys = {item.named.spki_sha256: item.named for item in certificates if item.named.spki_sha256}
        if not keys:
            faults.append(
                f"IDENTITY: no certificate of {identity.canonical} is known here; if it is not mistyped, name what it"
                " has by --cert, --serial or --key"
            )
        found += [Target(_key(order, key), named, identity) for key, named in keys.items()]
    return found


def _by_name(wanted: Selection, order: Denial) -> list[Target]:
    serials = [Target(_serial(order, serial, wanted.issuer)) for serial in wanted.serials]
    files = [
        Target(
            _serial(order, item.serial, item.issuer), Named(item.issuer, item.serial, item.spki_sha256, item.not_before)
        )
        for item in wanted.certificates
    ]
    return [*serials, *files, *(Target(_key(order, key)) for key in wanted.keys)]


def _by_batch(connection: sa.Connection, wanted: Selection, order: Denial, faults: list[str]) -> list[Target]:
    found = []
    for text in wanted.batches:
        named = batches_named(connection, text)
        if not named:
            faults.append(f"there is no batch {text!r}")
        found += [Target(replace(order, kind=DenialKind.BATCH, batch_id=item.id)) for item in named]
    return found


def _by_time_and_authority(wanted: Selection, order: Denial) -> list[Target]:
    if wanted.span is not None:
        begins, ends = wanted.span
        return [Target(replace(order, kind=DenialKind.DATES, issuer=wanted.issuer, begins=begins, ends=ends))]
    if wanted.is_unseen:
        return [Target(replace(order, kind=DenialKind.UNSEEN, issuer=wanted.issuer))]
    if wanted.issuer and not wanted.serials:
        return [Target(replace(order, kind=DenialKind.CA, issuer=wanted.issuer))]
    return []


def _key(order: Denial, spki_sha256: str) -> Denial:
    return replace(order, kind=DenialKind.KEY, spki_sha256=spki_sha256)


def _serial(order: Denial, serial: int, issuer: str) -> Denial:
    return replace(order, kind=DenialKind.SERIAL, serial=serial, issuer=issuer)
