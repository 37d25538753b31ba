"""CAs: made anew, root and issuing one, or brought along. Each CA's serial is recorded like any other."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.flows.issue_one import abandon, issued
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.finding import Finding, Level
from mtls_ambassador.pki.authority import Authority, spki_sha256
from mtls_ambassador.pki.files import locked
from mtls_ambassador.pki.folder import ISSUING, ROOT, NewAuthority, PublicAuthority, add, check_free, names, read_public
from mtls_ambassador.pki.issue import KeyKind, PrivateKey, Validity, make_key
from mtls_ambassador.pki.journal import Journal
from mtls_ambassador.pki.lint import LintGate
from mtls_ambassador.pki.profiles import AuthorityProfile, PublicKey, issuing_certificate, root_certificate
from mtls_ambassador.pki.serial import new_serial
from mtls_ambassador.pki.weakness import weaknesses
from mtls_ambassador.store.certificates import Reservation, Status, find, mark_done, mark_issued, reserve
from mtls_ambassador.store.database import Database

PROFILE = "ca"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One CA to be made."""

    name: str
    """Its folder's name."""
    profile: AuthorityProfile
    validity: Validity
    kind: KeyKind = KeyKind.P256
    key_uri: str = ""
    """The key is made, or there already, in this place of a token; empty: in a file."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where CAs are made, and with what."""

    database: Database
    folder: Path
    """The folder of the CAs."""
    passphrase: bytes | None = field(repr=False)
    """For key files; None: not encrypted."""
    pin: Callable[[str], str]
    """The PIN for a PKCS#11 URI."""
    now: dt.datetime


def make_root(setting: Setting, wanted: Wanted, offline: Path | None = None) -> Authority:
    """A CA signed by itself. With `offline`, its key is written in that folder of CAs and only there."""
    with locked(setting.folder):
        _prepare(setting, wanted.name, offline)
        key = _make_key(setting, wanted)
        own = spki_sha256(key.public_key())

        def build(serial: int) -> x509.Certificate:
            return root_certificate(wanted.profile, key, serial, wanted.validity)

        def keep(certificate: x509.Certificate) -> None:
            new = _new(setting, wanted, certificate, (), key)
            if offline is not None:
                add(offline, new)
                new = NewAuthority(wanted.name, certificate)
            add(setting.folder, new)

        certificate = _recorded(setting, wanted.name, own, build, keep)
        return Authority(wanted.name, certificate, (), key)


def make_issuing(setting: Setting, wanted: Wanted, issuer: Authority) -> Authority:
    """A CA signed by the one above it."""
    with locked(setting.folder):
        _prepare(setting, wanted.name, None)
        key = _make_key(setting, wanted)
        chain = (issuer.certificate, *issuer.chain)

        def build(serial: int) -> x509.Certificate:
            return issuing_certificate(issuer, wanted.profile, key.public_key(), serial, wanted.validity)

        def keep(certificate: x509.Certificate) -> None:
            add(setting.folder, _new(setting, wanted, certificate, chain, key))

        certificate = _recorded(setting, wanted.name, issuer.issuer_sha256, build, keep)
        return Authority(wanted.name, certificate, chain, key)


def check_free_for(folder: Path, wanted: tuple[str, ...], offline: Path | None) -> None:
    """Raise AmbassadorError unless CAs of these names can be made, before any is."""
    if (folder / ROOT).exists() and not (folder / ISSUING).exists() and len(wanted) > 1:
        raise AmbassadorError(
            f"{folder / ROOT} is there already and is never overwritten; `pki init --below {ROOT}` makes the issuing CA"
        )
    for name in wanted:
        check_free(folder, name)
    if offline is not None:
        check_free(offline, ROOT)


def import_ca(
    folder: Path, new: NewAuthority, public_key: PublicKey, now: dt.datetime
) -> tuple[PublicAuthority, list[Finding]]:
    """Take a CA made elsewhere into the folder, and say what is weak about it.

    Raises AmbassadorError when the key is another one's, or when it cannot be used at all; then nothing is written.
    """
    with locked(folder):
        check_free(folder, new.name)
        found = weaknesses(new.certificate, new.chain, now)
        bad = [item for item in found if item.level is Level.FAIL]
        if bad:
            raise AmbassadorError("\n".join(f"this CA cannot be used: {item.name}: {item.seen}" for item in bad))
        if spki_sha256(public_key) != spki_sha256(new.certificate.public_key()):
            raise AmbassadorError("the private key is not that of the certificate")
        add(folder, new)
    return read_public(folder / new.name), found


def _prepare(setting: Setting, name: str, offline: Path | None) -> None:
    """Nothing of that name is there, and what a crashed run left in the records is settled."""
    check_free(setting.folder, name)
    if offline is not None:
        check_free(offline, name)
    with setting.database.transaction() as connection:
        _settle(connection, setting)
        left = [
            item
            for item in find(connection, name=name)
            if item.profile == PROFILE and item.status in {Status.RESERVED, Status.ISSUED}
        ]
    abandon(setting.database, Journal(setting.folder), left, setting.now)


def _settle(connection: sa.Connection, setting: Setting) -> None:
    """CAs whose folder is there are done, even if a crash came before that was recorded."""
    for name in names(setting.folder):
        certificate = read_public(setting.folder / name).certificate
        own = [item for item in find(connection, serial=certificate.serial_number) if item.status is Status.ISSUED]
        mark_done(connection, [item.key for item in own if item.profile == PROFILE], setting.now)


def _make_key(setting: Setting, wanted: Wanted) -> PrivateKey:
    if not wanted.key_uri:
        return make_key(wanted.kind)
    from mtls_ambassador.pki.token import open_or_make_key  # noqa: PLC0415 - the library is optional

    key, _ = open_or_make_key(wanted.key_uri, setting.pin(wanted.key_uri), wanted.kind)
    return key


def _new(
    setting: Setting,
    wanted: Wanted,
    certificate: x509.Certificate,
    chain: tuple[x509.Certificate, ...],
    key: PrivateKey,
) -> NewAuthority:
    if wanted.key_uri:
        return NewAuthority(wanted.name, certificate, chain, key_uri=wanted.key_uri)
    return NewAuthority(wanted.name, certificate, chain, key, setting.passphrase)


def _recorded(
    setting: Setting,
    name: str,
    issuer_sha256: bytes,
    build: Callable[[int], x509.Certificate],
    keep: Callable[[x509.Certificate], None],
) -> x509.Certificate:
    """Record the serial, sign, lint, record the certificate, write files, mark it done."""
    serial = new_serial()
    with setting.database.transaction() as connection:
        reserve(connection, [Reservation(serial, issuer_sha256, name, PROFILE, None, setting.now)])
    certificate = build(serial)
    LintGate().check(certificate.public_bytes(Encoding.DER))
    with setting.database.transaction() as connection:
        mark_issued(connection, [issued(certificate, issuer_sha256)])
    keep(certificate)
    with setting.database.transaction() as connection:
        mark_done(connection, [(issuer_sha256, serial)], setting.now)
    return certificate
