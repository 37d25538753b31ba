"""Why a device is not in: from what is known to one verdict. Pure.

A refusal counts until the device got further: a handshake that failed, until that certificate finished one; an auth
request that was refused, until one was granted. What can be judged without a refusal, is.
"""

import datetime as dt
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import AuthSetStatus, MenderDevice, Standing
from mtls_ambassador.model.explanation import ENROLLED, Explanation, Step, StepState
from mtls_ambassador.model.fleet_view import Contact
from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.model.refusal import CallCause, HandshakeCause, Refusal, RefusalKind

CLOCK, CHAIN, CA, DENIED, TLS = "clock", "certificate", "CA", "denylist and CRL", "TLS"
SIGNATURE, KEY, IDENTITY = "signature", "key binding", "identity binding"
PREAUTHORIZATION, AUTH_SET, LIMIT, LAST = "preauthorization", "auth set in Mender", "device limit", "last connection"
ORDER = (CLOCK, CHAIN, CA, DENIED, TLS, SIGNATURE, KEY, IDENTITY, PREAUTHORIZATION, AUTH_SET, LIMIT, ENROLLED, LAST)
_H, _R = HandshakeCause, Reason
STEP_OF = {
    **dict.fromkeys((_H.SERVER_REFUSED.code, _H.SERVER_EXPIRED.code, _H.SERVER_CA_UNKNOWN.code), CLOCK),
    **dict.fromkeys((_H.NO_CERTIFICATE.code, _H.UNKNOWN_CA.code, _H.EXPIRED.code, _H.NOT_YET_VALID.code), CHAIN),
    **dict.fromkeys((_H.WRONG_USAGE.code, _H.BAD_SIGNATURE.code), CHAIN),
    **dict.fromkeys((_R.CERTIFICATE_UNREADABLE.code, _R.CERTIFICATE_NOT_YET_VALID.code), CHAIN),
    _R.CERTIFICATE_EXPIRED.code: CHAIN,
    **dict.fromkeys((CallCause.CA.code, CallCause.UNSEEN.code), CA),
    **dict.fromkeys((_H.REVOKED.code, _R.CERTIFICATE_DENIED.code, CallCause.SERIAL.code, CallCause.DATES.code), DENIED),
    **dict.fromkeys((_R.MALFORMED.code, _R.TOO_LARGE.code), SIGNATURE),
    **dict.fromkeys((_R.SIGNATURE_MISSING.code, _R.SIGNATURE_WRONG.code), SIGNATURE),
    _R.KEY_NOT_CERTIFICATES.code: KEY,
    **dict.fromkeys((_R.KEY_SPEAKS_FOR_OTHER.code, _R.IDENTITY_TAKEN.code, _R.TEMPLATE_MISMATCH.code), IDENTITY),
    **dict.fromkeys((_R.REJECTED_BY_PERSON.code, _R.DECOMMISSIONED.code, _R.WITHDRAWN.code), AUTH_SET),
    _R.REFUSED_UPSTREAM.code: AUTH_SET,
    _R.DEVICE_LIMIT.code: LIMIT,
}
"""What is not here: of handshakes TLS, of calls the denylist, of auth requests the preauthorization."""
FRESH = dt.timedelta(minutes=5)
TOGETHER = dt.timedelta(minutes=30)
"""Refusals this much older than the newest tell of something that is over."""
_REST = {RefusalKind.HANDSHAKE: TLS, RefusalKind.CALL: DENIED, RefusalKind.AUTH_REQUEST: PREAUTHORIZATION}


@dataclass(frozen=True, slots=True)
class MenderFacts:
    """What Mender says now."""

    fault: Reason | None = None
    """Why it could not be asked, or may not be."""
    detail: str = ""
    device: MenderDevice | None = None
    is_looked_up: bool = False
    """Whether it was asked for a device of the id on record; without one on record there is nothing to ask for."""
    accepted: int = 0
    limit: int = -1
    """-1 for none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of the device that was asked about."""

    asked: str
    now: dt.datetime
    certificate: DeviceCertificate | None = None
    chain_fault: str = ""
    """Why the gateway's CA bundle does not vouch for the certificate; empty when it does, or when none is known."""
    is_chain_known: bool = False
    denied: tuple[str, ...] = ()
    """What keeps the certificate out, each in words."""
    refusals: tuple[Refusal, ...] = ()
    """The newest first."""
    contact: Contact | None = None
    granted_at: dt.datetime | None = None
    """Its last auth request that was granted."""
    identity: str = ""
    standing: Standing | None = None
    mender: MenderFacts = field(default_factory=MenderFacts)


def explain(facts: Facts) -> Explanation:
    """Every step, from what was refused last, what can be judged now, and what Mender says."""
    failures = {step.name: step for step in reversed([*_live(facts), *_standing(facts), *_static(facts)])}
    found = {step.name: step for step in reversed([_of_refusal(facts, item) for item in _unresolved(facts)])}
    failures = found | failures if facts.mender.fault is None else failures | found
    if DENIED in found and found[DENIED].code == HandshakeCause.REVOKED.code:
        failures[DENIED] = found[DENIED]  # Envoy named the list: a CRL
    seen = _seen_in_mender(facts) | _seen_here(facts)
    steps = [failures.get(name) or _good(name, seen.get(name, "")) for name in ORDER]
    return Explanation(facts.asked, _about(facts), tuple(steps))


def _about(facts: Facts) -> str:
    parts = [facts.identity]
    if facts.certificate is not None:
        parts.append(f"certificate {facts.certificate.subject}, serial {facts.certificate.serial_hex}")
    return "; ".join(part for part in parts if part)


def _unresolved(facts: Facts) -> list[Refusal]:
    """Refusals since which the device did not get further, the newest first.

    A call that the denylist refused counts while the certificate is denied, or for some minutes: what is connected need
    not ask for a token again once it is let in. At an address alone, one certificate that comes in, as it did before,
    says nothing of the device that shows none: only one that came in for the first time since does.
    """
    met = None
    if facts.contact is not None:
        met = facts.contact.first_at if facts.certificate is None else facts.contact.at
    passed = {
        RefusalKind.HANDSHAKE: max_of(met, facts.granted_at),
        RefusalKind.CALL: facts.granted_at if facts.denied else facts.now - FRESH,
        RefusalKind.AUTH_REQUEST: facts.granted_at,
    }
    kept = [
        item
        for item in facts.refusals
        if ((since := passed[item.kind]) is None or item.at > since) and not _is_over(facts, item)
    ]
    newest = max((item.at for item in kept), default=facts.now)
    return [item for item in kept if newest - item.at < TOGETHER]


def _is_over(facts: Facts, item: Refusal) -> bool:
    """Whether it says nothing of now: "come later" of a while ago, as Mender was asked now, or a limit since raised."""
    if item.kind is not RefusalKind.AUTH_REQUEST:
        return False
    mender = facts.mender
    reason = Reason.with_code(item.cause)
    if reason is Reason.DEVICE_LIMIT:
        return mender.fault is None and not 0 <= mender.limit <= mender.accepted
    return reason is not None and reason.verdict is Verdict.LATER and facts.now - item.at > FRESH


def max_of(*times: dt.datetime | None) -> dt.datetime | None:
    """The latest of those that are known."""
    return max((time for time in times if time is not None), default=None)


def _of_refusal(facts: Facts, item: Refusal) -> Step:
    name = STEP_OF.get(item.cause, _REST[item.kind])
    cause, hint = words(item.kind, item.cause)
    times = f"{item.count} times, last " if item.count > 1 else ""
    at = f"{item.at:%Y-%m-%d %H:%M:%S}Z"
    place = f" from {item.address}" if item.address else ""
    detail = f": {item.detail}" if item.detail and item.kind is not RefusalKind.HANDSHAKE else ""
    seen = f"refused {times}{at}{place}{detail}"
    return Step(name, StepState.FAILED, seen, item.cause, cause, hint, command_for(item.cause, facts))


def words(kind: RefusalKind, code: str) -> tuple[str, str]:
    """Cause and hint of a code."""
    if kind is RefusalKind.HANDSHAKE:
        found = next((item for item in HandshakeCause if item.code == code), HandshakeCause.OTHER)
        return found.text, found.hint
    if kind is RefusalKind.CALL:
        return CallCause.of(code).text, "`mtls-ambassador device denials` says who denied it and why."
    reason = Reason.with_code(code) or Reason.INTERNAL
    return reason.text, reason.hint


def _static(facts: Facts) -> Iterable[Step]:
    """What shows without any refusal: dates, chain, denials."""
    shown = facts.certificate
    if shown is not None and facts.now < shown.not_before:
        yield _failed(facts, CHAIN, f"valid from {shown.not_before:%Y-%m-%d %H:%M}Z", HandshakeCause.NOT_YET_VALID)
    elif shown is not None and facts.now > shown.not_after:
        yield _failed(facts, CHAIN, f"expired on {shown.not_after:%Y-%m-%d %H:%M}Z", HandshakeCause.EXPIRED)
    elif facts.chain_fault:
        is_usage = "not for TLS clients" in facts.chain_fault
        cause = HandshakeCause.WRONG_USAGE if is_usage else HandshakeCause.UNKNOWN_CA
        yield _failed(facts, CHAIN, facts.chain_fault, cause)
    if facts.denied:
        yield _failed(facts, DENIED, "; ".join(facts.denied)[:500], Reason.CERTIFICATE_DENIED)


def _standing(facts: Facts) -> Iterable[Step]:
    if facts.standing is Standing.WITHDRAWN:
        yield _failed(facts, AUTH_SET, "Mender accepted it once, and then did not", Reason.WITHDRAWN)


def _live(facts: Facts) -> Iterable[Step]:
    """What Mender says now."""
    mender = facts.mender
    if mender.fault is not None:
        yield _failed(facts, PREAUTHORIZATION, mender.detail or mender.fault.text, mender.fault)
        return
    device = mender.device
    if device is not None and device.decommissioning:
        yield _failed(facts, AUTH_SET, "being decommissioned in Mender", Reason.DECOMMISSIONED)
    elif device is not None and device.status is AuthSetStatus.REJECTED:
        yield _failed(facts, AUTH_SET, "rejected in Mender", Reason.REJECTED_BY_PERSON)
    elif facts.granted_at is not None:
        yield from _taken_back(facts)
    is_accepted = device is not None and device.status is AuthSetStatus.ACCEPTED
    if 0 <= mender.limit <= mender.accepted and not is_accepted:
        yield _failed(facts, LIMIT, f"{mender.accepted} of {mender.limit} devices are accepted", Reason.DEVICE_LIMIT)


def _taken_back(facts: Facts) -> Iterable[Step]:
    """Of a device that Mender once let in: its record here does not say what was done there since."""
    device = facts.mender.device
    if device is None and facts.mender.is_looked_up:
        yield _failed(facts, AUTH_SET, "Mender has the device no longer", Reason.DECOMMISSIONED)
    elif device is not None and device.status in {AuthSetStatus.PENDING, AuthSetStatus.NOAUTH}:
        yield _failed(facts, AUTH_SET, f"{device.status.value} in Mender (device {device.id})", Reason.WITHDRAWN)


def _failed(facts: Facts, name: str, seen: str, cause: HandshakeCause | Reason) -> Step:
    return Step(name, StepState.FAILED, seen, cause.code, cause.text, cause.hint, command_for(cause.code, facts))


def _good(name: str, seen: str) -> Step:
    """A step that nothing speaks against: ok when something speaks for it."""
    return Step(name, StepState.OK if seen else StepState.UNKNOWN, seen or "nothing is known of it")


def _seen_here(facts: Facts) -> dict[str, str]:
    shown, met = facts.certificate, facts.contact
    found = {CLOCK: f"the gateway's clock says {facts.now:%Y-%m-%d %H:%M:%S}Z; no complaint of the device"}
    if shown is not None:
        found |= dict.fromkeys((CA, DENIED), "not denied")
        if facts.is_chain_known or met is not None:
            known = "its CA is trusted" if facts.is_chain_known else "it finished a handshake"
            end = "" if shown.not_after.year == dt.MAXYEAR else f"; good until {shown.not_after:%Y-%m-%d}"
            found[CHAIN] = known + end
    if met is not None:
        times = f"{met.connections} connections, the last ended {met.at:%Y-%m-%d %H:%M:%S}Z"
        found |= dict.fromkeys((TLS, LAST), f"{times} from {met.address} ({met.tls_version})")
    if facts.granted_at is not None:
        found |= dict.fromkeys((SIGNATURE, KEY, IDENTITY), "right in its last auth request")
        found[ENROLLED] = f"it got a token {facts.granted_at:%Y-%m-%d %H:%M:%S}Z"
    return found


def _seen_in_mender(facts: Facts) -> dict[str, str]:
    mender = facts.mender
    if mender.fault is not None:
        return {}
    limit = f"{mender.accepted} of {mender.limit} devices are accepted" if mender.limit >= 0 else "none"
    found = {PREAUTHORIZATION: "Mender answers, and the gateway's login may preauthorize", LIMIT: limit}
    if mender.device is not None:
        found[AUTH_SET] = f"{mender.device.status.value} (device {mender.device.id})"
    return found


_DENIED = "mtls-ambassador device denials"  # never one that lets in again: somebody denied it on purpose
_CLOCK = "date --utc    (on the device)"
_MOVE = "mtls-ambassador device approve {identity} CERT.pem"
_SHOW = "mtls-ambassador device show {identity}"
_CHECK = "mtls-ambassador check"
COMMANDS = {
    **dict.fromkeys(("identity-taken", "key-speaks-for-other"), _MOVE),
    **dict.fromkeys(("certificate-denied", "serial", "dates", "ca", "unseen"), _DENIED),
    **dict.fromkeys(("expired", "certificate-expired"), "mtls-ambassador pki renew CERT.pem --out NEW.pem"),
    **dict.fromkeys(("not-yet-valid", "certificate-not-yet-valid"), "date --utc    (on the gateway)"),
    **dict.fromkeys(("server-refused", "server-expired", "server-ca-unknown"), _CLOCK),
    **dict.fromkeys(("device-limit", "rejected-by-person", "decommissioned", "withdrawn", "refused-upstream"), _SHOW),
    "revoked": "mtls-ambassador pki list --revoked",
    "no-certificate": "grep -A3 HttpsClient /etc/mender/mender.conf    (on the device)",
}


def command_for(code: str, facts: Facts) -> str:
    """The next one to run, on the gateway unless it says otherwise."""
    identity = shlex.quote(facts.identity) if facts.identity else "IDENTITY"
    return COMMANDS.get(code, _CHECK).format(identity=identity)
