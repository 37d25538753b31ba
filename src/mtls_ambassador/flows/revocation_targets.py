"""Which certificates an operator means: by serial, name, batch, key or certificate; what is not found stops it all."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from mtls_ambassador.flows.revoke import Target
from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.model.revocation import serial_hex
from mtls_ambassador.pki.authority import issuer_sha256, spki_sha256
from mtls_ambassador.store import batches, certificates
from mtls_ambassador.store.batches import Batch
from mtls_ambassador.store.certificates import Filter, Record

_DIGITS = 18
"""Of the highest number that a database can count to."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was named; each of the kinds adds to the others."""

    serials: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    """Names or numbers."""
    keys: tuple[bytes, ...] = ()
    """SHA-256 of SPKIs in DER."""
    certificates: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CAs that are known here."""

    by_hash: Mapping[bytes, x509.Certificate]
    only: bytes | None = None
    """The one CA that is meant; None means any."""
    allow_unknown: bool = False
    """Serials that were not made here are meant as well, as the `only` CA's."""


def find_targets(connection: sa.Connection, wanted: Wanted, authorities: Authorities) -> list[Target]:
    """Every certificate meant, each once. Raises FaultsError naming each thing that was not found."""
    search = _Search(connection, authorities)
    for serial in wanted.serials:
        search.by_serial(serial)
    for name in wanted.names:
        search.add(certificates.find(connection, name=name), f"no certificate has the name {name!r}")
    for key in wanted.keys:
        search.add(certificates.find(connection, spki=key), f"no certificate has the key {key.hex()}")
    for text in wanted.batches:
        search.by_batch(text)
    for certificate in wanted.certificates:
        search.by_certificate(certificate)
    if search.faults:
        raise FaultsError([*search.faults, "nothing was changed"])
    return list(search.found.values())


class _Search:
    """What was found so far, and what was not."""

    def __init__(self, connection: sa.Connection, authorities: Authorities) -> None:
        self._connection = connection
        self._authorities = authorities
        self.found: dict[tuple[bytes, int], Target] = {}
        self.faults: list[str] = []

    def add(self, records: Iterable[Record], fault: str) -> None:
        own = [_target(item) for item in records if self._authorities.only in {None, item.issuer_sha256}]
        self.found |= {item.key: item for item in own}
        if not own:
            self.faults.append(fault)

    def by_serial(self, serial: int) -> None:
        only = self._authorities.only
        records = certificates.find(self._connection, serial=serial)
        if len({item.issuer_sha256 for item in records}) > 1 and only is None:
            self.faults.append(f"serial {serial_hex(serial)} is of several CAs: say which by --ca")
        elif not records and self._authorities.allow_unknown and only is not None:
            self.found.setdefault((only, serial), Target(only, serial))
        else:
            self.add(records, f"serial {serial_hex(serial)} was not made here (--unknown takes it all the same)")

    def by_batch(self, text: str) -> None:
        found = batches_named(self._connection, text)
        if not found:
            self.faults.append(f"there is no batch {text!r}")
        for item in found:
            self.add(certificates.select(self._connection, Filter(batch_id=item.id)), f"batch {text!r} is empty")

    def by_certificate(self, certificate: x509.Certificate) -> None:
        """One that was not made here counts when a CA of ours has signed it, as with openssl before."""
        for issuer, own in self._authorities.by_hash.items():
            if self._authorities.only in {None, issuer} and _has_signed(own, certificate):
                known = certificates.find(self._connection, serial=certificate.serial_number)
                targets = [_target(item) for item in known if item.issuer_sha256 == issuer]
                target = targets[0] if targets else _of_certificate(issuer, certificate)
                self.found.setdefault(target.key, target)
                return
        subject = certificate.subject.rfc4514_string()
        self.faults.append(f"certificate {serial_hex(certificate.serial_number)} ({subject}) is of no CA that is here")


def batches_named(connection: sa.Connection, text: str) -> list[Batch]:
    """The batches of this name or, where there is none, the one with this number."""
    named = batches.find_by_name(connection, text)
    if named or not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return named
    numbered = batches.find_by_id(connection, int(text))
    return [numbered] if numbered else []


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _of_certificate(issuer: bytes, certificate: x509.Certificate) -> Target:
    return Target(
        issuer,
        certificate.serial_number,
        subject=certificate.subject.rfc4514_string(),
        spki_sha256=spki_sha256(certificate.public_key()),
        not_after=certificate.not_valid_after_utc,
    )


def _target(record: Record) -> Target:
    return Target(
        record.issuer_sha256,
        record.serial,
        record.name,
        record.subject or "",
        record.spki_sha256,
        record.not_after,
    )


def known_authorities(certificates_here: Iterable[x509.Certificate]) -> dict[bytes, x509.Certificate]:
    """CAs by the SHA-256 of their SPKI."""
    return {issuer_sha256(item): item for item in certificates_here}
