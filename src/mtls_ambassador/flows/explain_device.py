"""`why`: facts from everywhere that knows something, bounded in time, and the verdict on them."""

import asyncio
import datetime as dt
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.decide import why
from mtls_ambassador.decide.why import Facts, MenderFacts
from mtls_ambassador.flows.trust_files import read_authorities
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import AuthSetStatus, Standing
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.model.explanation import Explanation
from mtls_ambassador.model.fleet_view import Contact, DeviceQuery
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason, RefusedError, Verdict
from mtls_ambassador.model.refusal import HandshakeCause, Refusal, RefusalKind
from mtls_ambassador.pki.approvable import device_fault, read_certificates
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.settings import Settings
from mtls_ambassador.store import denials, fleet_devices, ledger
from mtls_ambassador.store.database import Database
from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.fleet_detail import CONTACT
from mtls_ambassador.store.ledger_tables import contact
from mtls_ambassador.store.pki_tables import certificate as made
from mtls_ambassador.store.tables import audit, device

MENDER_WITHIN = 5.0
"""Seconds."""
LONGEST = 64 * 1024
LOOKED_AT = 50
"""Refusals and events of each kind."""
_OWN_WITHOUT_CERTIFICATE = {
    item.code
    for item in (
        HandshakeCause.NO_CERTIFICATE,
        HandshakeCause.SERVER_REFUSED,
        HandshakeCause.SERVER_EXPIRED,
        HandshakeCause.SERVER_CA_UNKNOWN,
    )
}
"""What a device meets that shows no certificate; the rest of those is port scans and health checks."""
_GRANTED = [item.code for item in Reason if item.verdict is Verdict.GRANTED]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from; the gateway need not run."""

    settings: Settings
    database: Database
    mender: MenderClient
    lists: Callable[[DeviceCertificate], list[str]]
    """By which lists beside the store a certificate is denied."""
    now: Callable[[], dt.datetime]


@dataclass(slots=True)
class _Found:
    """Whom it is about."""

    chain: tuple[x509.Certificate, ...] = ()
    shown: DeviceCertificate | None = None
    identity_sha256: str = ""
    device_id: str = ""
    """Mender's, of the record."""
    known: dict[str, str] = field(default_factory=dict)
    """By column of the ledger."""


async def explain(asked: str, sources: Sources) -> Explanation:
    """Why what was asked about is in or not: an identity, a name, a serial, a PEM certificate, or an address.

    Raises UsageError when nothing is known by that, RefusedError STORE_FAILED.
    """
    asked = asked.strip()
    if not asked or len(asked) > LONGEST:
        raise UsageError("say which device: identity, name, serial, certificate in PEM, or address")
    found, facts = await sources.database.read(lambda c: _look_up(c, asked, sources))
    shown = facts.certificate
    if shown is not None:
        facts = replace(facts, denied=(*facts.denied, *sources.lists(shown)))
    if found.chain:
        facts = await asyncio.to_thread(_judge_chain, facts, found.chain, sources.settings)
    return why.explain(replace(facts, mender=await _ask_mender(sources.mender, found.device_id)))


def _look_up(connection: sa.Connection, asked: str, sources: Sources) -> tuple[_Found, Facts]:
    """All that the store knows, of one moment."""
    found = _find(connection, asked)
    return found, _recorded(connection, asked, found, sources)


def _find(connection: sa.Connection, asked: str) -> _Found:
    if "-----BEGIN" in asked:
        return _by_pem(connection, asked)
    if asked.startswith("{"):
        try:
            return _by_identity(connection, Identity.parse(asked).sha256)
        except ValueError as error:
            raise UsageError(f"the identity: {error}") from error
    try:
        return _Found(known={"address": str(ipaddress.ip_address(asked))})
    except ValueError:
        pass
    bare = asked.lower().replace(":", "").removeprefix("0x")
    if bare and len(bare) <= 40 and set(bare) <= set("0123456789abcdef"):  # noqa: PLR2004 - digits of 20 octets
        found = _by_serial(connection, f"{int(bare, 16):x}")
        if found is not None:
            return found
    return _by_name(connection, asked)


def _by_pem(connection: sa.Connection, text: str) -> _Found:
    try:
        chain = read_certificates(text.encode(errors="replace"))
        shown = device_certificate(chain[0].public_bytes(Encoding.PEM))
    except ValueError as error:
        raise UsageError(f"the certificate {error}") from error
    found = _Found(chain, shown, known={"serial": shown.serial_hex, "spki_sha256": shown.spki_sha256})
    whose = sa.select(seen.c.identity_sha256).where(seen.c.spki_sha256 == shown.spki_sha256)
    found.identity_sha256 = connection.scalar(whose.order_by(seen.c.first_at.desc()).limit(1)) or ""
    return found


def _by_identity(connection: sa.Connection, sha256: str) -> _Found:
    newest = sa.select(seen.c.serial).where(seen.c.identity_sha256 == sha256).order_by(seen.c.first_at.desc()).limit(1)
    serial = connection.scalar(newest)
    found = (_by_serial(connection, f"{serial:x}") if serial is not None else None) or _Found()
    found.identity_sha256 = sha256
    found.known["identity_sha256"] = sha256
    return found


def _by_serial(connection: sa.Connection, serial: str) -> _Found | None:
    """From the records of `pki`, from certificates that devices showed, or from the ledger."""
    found = _Found(known={"serial": serial})
    row = connection.execute(
        sa.select(made.c.der, made.c.subject).where(made.c.serial == int(serial, 16)).limit(1)
    ).one_or_none()
    if row is not None and row.der:
        certificate = x509.load_der_x509_certificate(row.der)
        found.chain, found.shown = (certificate,), device_certificate(certificate.public_bytes(Encoding.PEM))
        found.known["spki_sha256"] = found.shown.spki_sha256
    whose = sa.select(seen).where(seen.c.serial == int(serial, 16)).limit(1)
    known = connection.execute(whose).mappings().one_or_none()
    if known is not None:
        found.identity_sha256 = known["identity_sha256"]
        found.known |= {"spki_sha256": known["spki_sha256"], "identity_sha256": known["identity_sha256"]}
        found.shown = found.shown or _certificate_of(known)
    if row is None and known is None and not ledger.about(connection, [("serial", serial)], 1):
        return None
    return found


def _certificate_of(row: Any) -> DeviceCertificate:  # noqa: ANN401 - a row of `seen`
    """What the table of shown certificates has; its end is not kept there."""
    end = dt.datetime.max.replace(tzinfo=dt.UTC)
    print_ = row["fingerprint_sha256"]
    return DeviceCertificate(
        row["serial"], row["issuer"], row["subject"], row["spki_sha256"], print_, row["not_before"], end, {}
    )


def _by_name(connection: sa.Connection, text: str) -> _Found:
    """A device any of whose texts holds it, or a certificate of that name."""
    rows = fleet_devices.page(connection, DeviceQuery(text=text, limit=2)).items
    if len(rows) == 1:
        return _by_identity(connection, rows[0].identity_sha256)
    if rows:
        raise UsageError(f"{text[:80]!r} is in the texts of more than one device; `device list` shows them")
    serial = connection.scalar(sa.select(made.c.serial).where(made.c.name == text).order_by(made.c.id.desc()).limit(1))
    found = _by_serial(connection, f"{serial:x}") if serial is not None else None
    if found is None:
        raise UsageError(
            f"nothing is known by {text[:80]!r}: give the identity as JSON, a serial, the certificate, or the address"
        )
    return found


def _recorded(connection: sa.Connection, asked: str, found: _Found, sources: Sources) -> Facts:
    now, shown = sources.now(), found.shown
    row = (
        connection.execute(sa.select(device).where(device.c.identity_sha256 == found.identity_sha256))
        .mappings()
        .one_or_none()
    )
    found.device_id = row["device_id"] if row else ""
    met = _contact(connection, found)
    refusals = [item for item in ledger.about(connection, found.known.items(), LOOKED_AT) if _is_own(item, shown)]
    if met is not None and shown is not None:
        refusals += _without_certificate(connection, met.address)
    hits = denials.that_hit(connection, shown, now) if shown is not None else []
    return Facts(
        asked if len(asked) <= 200 else "certificate",  # noqa: PLR2004 - of a line
        now,
        shown,
        denied=tuple(f"{item.what}, {item.reason}, by {item.by}" for item in hits),
        refusals=tuple(sorted(refusals, key=_when, reverse=True)),
        contact=met,
        granted_at=_granted(connection, found),
        identity=row["identity"] if row else _identity_of(refusals),
        standing=Standing(row["standing"]) if row else None,
    )


def _is_own(item: Refusal, shown: DeviceCertificate | None) -> bool:
    """Whether it tells of this certificate. A refused handshake proves nothing, and anybody may write any serial into
    a certificate of his own: it is of this one only with the same key.
    """
    if shown is None or item.kind is not RefusalKind.HANDSHAKE or not item.serial:
        return True
    return item.spki_sha256 == shown.spki_sha256


def _without_certificate(connection: sa.Connection, address: str) -> list[Refusal]:
    """Handshakes without a certificate from there, where no other certificate calls from the same address: behind a
    NAT or a load balancer nobody can tell whose they are.
    """
    callers = connection.scalars(sa.select(contact.c.fingerprint_sha256).where(contact.c.address == address).limit(2))
    if len(callers.all()) > 1:
        return []
    found = ledger.about(connection, [("address", address)], LOOKED_AT)
    return [item for item in found if not item.serial and item.cause in _OWN_WITHOUT_CERTIFICATE]


def _when(item: Refusal) -> tuple[dt.datetime, int]:
    return item.at, item.number


def _identity_of(refusals: list[Refusal]) -> str:
    return next((item.identity for item in refusals if item.identity), "")


def _contact(connection: sa.Connection, found: _Found) -> Contact | None:
    chosen = sa.select(*CONTACT).order_by(contact.c.at.desc())
    if found.shown is not None and found.shown.fingerprint_sha256:
        chosen = chosen.where(contact.c.fingerprint_sha256 == found.shown.fingerprint_sha256)
    elif "serial" in found.known:
        chosen = chosen.where(contact.c.serial == found.known["serial"])
    elif "address" in found.known:
        newest = contact.c.first_at.desc()
        chosen = chosen.where(contact.c.address == found.known["address"]).order_by(None).order_by(newest)
    else:
        return None
    row = connection.execute(chosen.limit(1)).one_or_none()
    return Contact(*row) if row else None


def _granted(connection: sa.Connection, found: _Found) -> dt.datetime | None:
    chosen = sa.select(audit.c.at).where(audit.c.event == "auth-request", audit.c.reason.in_(_GRANTED))
    if found.shown is not None:
        chosen = chosen.where(audit.c.certificate_serial == found.shown.serial_hex[:64])
    elif found.identity_sha256:
        chosen = chosen.where(audit.c.identity_sha256 == found.identity_sha256)
    else:
        return None
    at: dt.datetime | None = connection.scalar(chosen.order_by(audit.c.id.desc()).limit(1))
    return at


def _judge_chain(facts: Facts, chain: tuple[x509.Certificate, ...], settings: Settings) -> Facts:
    try:
        bundle = read_authorities(settings)[1]
    except AmbassadorError as error:
        return replace(facts, chain_fault=str(error))
    fault = device_fault(chain[:1], bundle, facts.now) or ""
    if fault and len(chain) > 1 and device_fault(chain, bundle, facts.now) is None:
        if facts.contact is not None:  # a 3.x client sends its intermediates
            return replace(facts, is_chain_known=True)
        name = chain[1].subject.rfc4514_string()
        fault = f"its intermediate {name} is not in MTLS_TENANT_CA_PEM; 4.x and 5.x clients do not send it"
    return replace(facts, chain_fault=fault, is_chain_known=not fault)


async def _ask_mender(mender: MenderClient, device_id: str) -> MenderFacts:
    """Asked live. A Mender that is down is a finding, and nothing here waits for it long."""
    try:
        async with asyncio.timeout(MENDER_WITHIN):
            if not await mender.may_preauthorize():
                return MenderFacts(Reason.NOT_PERMITTED)
            found = await mender.get_device(device_id) if device_id else None
            limit = await mender.device_limit()
            accepted = await mender.count_devices(AuthSetStatus.ACCEPTED) if limit >= 0 else 0
            return MenderFacts(device=found, is_looked_up=bool(device_id), limit=limit, accepted=accepted)
    except RefusedError as error:
        return MenderFacts(error.reason, error.detail)
    except TimeoutError:
        return MenderFacts(Reason.UPSTREAM_SLOW, f"no answer within {MENDER_WITHIN:g} s")
