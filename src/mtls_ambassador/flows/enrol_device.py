"""The story of one auth request: read, decide, get it accepted at Mender, record, answer.

Fails closed throughout: whatever goes wrong before Mender's own "yes" is recorded, the device is not let in, and
nothing stands in the store that did not happen upstream.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog

from mtls_ambassador.decide.enrol import Rules, Step, first_step, refuse_binding, refuse_certificate
from mtls_ambassador.flows.admit_at_mender import Admission, Admitted
from mtls_ambassador.flows.denied_certificates import DeniedCertificates
from mtls_ambassador.flows.keyed_lock import Gate, KeyedLock
from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.mender.messages import read_auth_request, refuse_other_media
from mtls_ambassador.mender.transport import Answer
from mtls_ambassador.model.auth_request import AuthRequest
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import DeviceRecord, PinFacts, PinState, Standing
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason, RefusedError, Verdict
from mtls_ambassador.pki.parse import device_certificate_from_header
from mtls_ambassador.settings import BindingMode, Limits
from mtls_ambassador.store import denials, devices
from mtls_ambassador.store.audit import AuditEntry, append
from mtls_ambassador.store.database import Database

log = structlog.get_logger("enrol")
LOGGED = 256
"""Characters of an identity in a log line; the audit has more."""
CLAIMED_BY_OTHER = "another certificate is being enrolled for it"


@dataclass(frozen=True, slots=True)
class AuthCall:
    """An auth request as it arrived, with what Envoy says of the connection."""

    body: bytes = field(repr=False)
    signature: str | None = field(repr=False)
    certificate_header: str = field(repr=False)
    """The device certificate, URL-encoded PEM."""
    headers: Mapping[str, str] = field(repr=False)
    """What goes upstream with the body."""
    proxy_headers: Mapping[str, str] = field(repr=False)
    """What goes with management calls made for this device (MEN-9042)."""
    address: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended; `answer` is Mender's own where the device gets that one."""

    reason: Reason
    detail: str = ""
    answer: Answer | None = None
    status: int = 0
    """What the device is answered when it does not get Mender's answer."""
    retry_after: float | None = None


@dataclass(slots=True)
class _Seen:
    """What is known so far, for the audit."""

    certificate: DeviceCertificate | None = None
    request: AuthRequest | None = None


class EnrolDevice:
    """Decides auth requests; one for the life of the service."""

    def __init__(
        self,
        mender: MenderClient,
        database: Database,
        rules: Rules,
        limits: Limits,
        now: Callable[[], dt.datetime],
        denied: DeniedCertificates,
    ) -> None:
        self._mender = mender
        self._database = database
        self._rules = rules
        self._now = now
        self._denied = denied
        self._locks = KeyedLock()
        self._gate = Gate(limits.enrol_concurrency, limits.enrol_queue)
        self.ledger = Ledger(now)
        """Where every outcome is counted; whoever keeps one puts it here."""
        self._time_limit = 3 * limits.upstream_timeout

    @property
    def waiting(self) -> int:
        """Auth requests that wait for a place."""
        return self._gate.waiting

    async def __call__(self, call: AuthCall) -> Outcome:
        """Decide one auth request. Never raises: a fault of our own is Reason.INTERNAL and stands in the log."""
        seen = _Seen()
        try:
            async with asyncio.timeout(self._time_limit):
                return await self._decide(call, seen)
        except RefusedError as error:
            outcome = Outcome(error.reason, error.detail, status=error.status, retry_after=error.retry_after)
        except TimeoutError:
            outcome = Outcome(Reason.UPSTREAM_SLOW, status=int(Reason.UPSTREAM_SLOW.status))
        except Exception:
            log.exception("auth request failed", request_id=call.request_id)
            outcome = Outcome(Reason.INTERNAL, status=int(Reason.INTERNAL.status))
        await self._audit_refusal(call, seen, outcome)
        return outcome

    async def _decide(self, call: AuthCall, seen: _Seen) -> Outcome:
        refuse_other_media(call.headers)
        request = seen.request = read_auth_request(call.body, call.signature)
        certificate = seen.certificate = _read_certificate(call.certificate_header)
        why = self._denied.why(certificate)
        if reason := self._refuse(certificate, denied=bool(why)):
            raise RefusedError(reason, f"by {why}" if why else "")
        # One device at a time, and one certificate at a time, so that neither is enrolled twice by a race.
        async with (
            self._locks.hold(certificate.spki_sha256),
            self._locks.hold(request.identity.sha256),
            self._gate.pass_through(),
        ):
            record, pins = await self._database.run(lambda c: self._facts(c, request, certificate))
            if reason := refuse_binding(self._rules, certificate, request, pins):
                raise RefusedError(reason)
            return await self._admit(call, request, certificate, record, pins)

    def _refuse(self, certificate: DeviceCertificate, *, denied: bool) -> Reason | None:
        return refuse_certificate(certificate, self._now(), denied=denied, ignores_end=self._rules.ignores_end)

    def _facts(
        self, connection: sa.Connection, request: AuthRequest, certificate: DeviceCertificate
    ) -> tuple[DeviceRecord | None, PinFacts]:
        """Raises RefusedError when the store denies the certificate: here that is so before Envoy knows it."""
        self._refuse_denied(connection, certificate)
        record = devices.read_record(connection, request.identity)
        if not self._rules.pins_keys:
            return record, PinFacts()
        return record, devices.read_pins(connection, request.identity, certificate)

    def _refuse_denied(self, connection: sa.Connection, certificate: DeviceCertificate, when: str = "") -> None:
        is_known = self._denied.knows(certificate.issuer)
        hits = denials.that_hit(connection, certificate, self._now(), is_issuer_known=is_known)
        if reason := self._refuse(certificate, denied=bool(hits)):
            raise RefusedError(reason, "; ".join(f"{item.what}, by {item.by}: {item.reason}" for item in hits) + when)

    async def _admit(
        self,
        call: AuthCall,
        request: AuthRequest,
        certificate: DeviceCertificate,
        record: DeviceRecord | None,
        pins: PinFacts,
    ) -> Outcome:
        is_first_come = self._rules.identity_binding is BindingMode.FIRST_USE and pins.is_first_come
        admission = Admission(self._mender, request, call.headers, call.proxy_headers, is_first_come=is_first_come)
        step = first_step(record, request.auth_key.spki_sha256)
        if step is Step.PREAUTHORIZE:
            admitted = await self._admit_new(admission, request, certificate, pins)
        else:
            assert record is not None  # noqa: S101 - first_step preauthorizes what has no record
            admitted = await self._admit_recorded(admission, request, record, step)
        await self._database.run(lambda c: self._record(c, call, request, certificate, admitted))
        # A device that comes back is the common case: the audit has it, the log would only grow.
        say = log.debug if admitted.reason is Reason.KNOWN else log.info
        say(
            "device accepted",
            reason=admitted.reason.code,
            identity=request.identity.canonical[:LOGGED],
            serial=certificate.serial_hex,
            address=call.address,
            request_id=call.request_id,
        )
        self.ledger.granted(admitted.reason, request.identity.sha256)
        return Outcome(admitted.reason, answer=admitted.answer)

    async def _admit_new(
        self, admission: Admission, request: AuthRequest, certificate: DeviceCertificate, pins: PinFacts
    ) -> Admitted:
        """Claim the identity first, so that no other certificate enrols it meanwhile.

        The claim is let go only when it is certain that Mender did not accept it: an answer that was lost may have
        been a yes, and another certificate must not get what this one enrolled.
        """
        try:
            await self._database.run(lambda c: self._claim(c, request.identity, certificate, pins))
        except sa.exc.IntegrityError as error:
            raise RefusedError(Reason.IDENTITY_TAKEN, CLAIMED_BY_OTHER) from error
        try:
            return await admission.of_new_device()
        except RefusedError as error:
            if error.reason.withdraws or not admission.may_be_accepted:
                reason = error.reason
                await self._database.run(lambda c: self._let_go(c, request.identity, certificate, pins, reason))
            raise

    def _claim(
        self, connection: sa.Connection, identity: Identity, certificate: DeviceCertificate, pins: PinFacts
    ) -> None:
        if not devices.claim(connection, identity, certificate, self._now()):
            raise RefusedError(Reason.IDENTITY_TAKEN, CLAIMED_BY_OTHER)
        if self._rules.pins_keys and pins.key_state in {None, PinState.RELEASED}:
            devices.pin_key(connection, identity, certificate, PinState.CLAIMED, self._now())

    def _let_go(
        self,
        connection: sa.Connection,
        identity: Identity,
        certificate: DeviceCertificate,
        pins: PinFacts,
        reason: Reason,
    ) -> None:
        """A key that a person's word turned away stays pinned, or it would come back under another identity."""
        devices.release(connection, identity, certificate)
        if not self._rules.pins_keys or pins.key_state is PinState.HELD:
            return
        if reason.withdraws or pins.key_state is PinState.RELEASED:
            devices.pin_key(connection, identity, certificate, PinState.RELEASED, self._now())
        elif pins.key_state is None or reason is Reason.IDENTITY_TAKEN:
            devices.forget_key(connection, certificate)

    async def _admit_recorded(
        self, admission: Admission, request: AuthRequest, record: DeviceRecord, step: Step
    ) -> Admitted:
        """Mender's "no" to a device it once accepted is a person's word: from then on only Mender can undo it."""
        try:
            if step is Step.INSPECT:
                return await admission.of_known_device(record.device_id, was_accepted=True)
            return await admission.of_recorded_key(record)
        except RefusedError as error:
            gone = error.reason is Reason.DECOMMISSIONED
            # A rejection seen on inspection may be of the new key alone, and the recorded one is as good as before.
            no_to_device = error.reason is Reason.WITHDRAWN or (step is Step.FORWARD and error.reason.withdraws)
            if gone or (record.standing is Standing.ACCEPTED and no_to_device):
                await self._database.run(lambda c: self._withdraw(c, request, gone=gone))
            raise

    def _withdraw(self, connection: sa.Connection, request: AuthRequest, *, gone: bool) -> None:
        devices.record_withdrawn(connection, request.identity, self._now())
        if gone:
            devices.release_pins(connection, request.identity)

    def _record(
        self,
        connection: sa.Connection,
        call: AuthCall,
        request: AuthRequest,
        certificate: DeviceCertificate,
        admitted: Admitted,
    ) -> None:
        now = self._now()
        append(connection, _entry(now, call, _Seen(certificate, request), admitted.reason, ""))
        # Who denies holds the audit's head as well: either it is seen here, or it sees what is recorded here.
        self._refuse_denied(connection, certificate, ", while Mender was asked")
        if admitted.reason is not Reason.KNOWN:
            key = request.auth_key.spki_sha256
            devices.record_accepted(connection, request.identity, certificate, key, admitted.device_id, now)
        denials.remember(connection, request.identity, certificate, now)
        if self._rules.pins_keys:
            self._hold(connection, request, certificate, now)

    def _hold(
        self, connection: sa.Connection, request: AuthRequest, certificate: DeviceCertificate, now: dt.datetime
    ) -> None:
        """Asked once more in the transaction that records it: an operator or another replica may have decided since."""
        pins = devices.read_pins(connection, request.identity, certificate)
        if reason := refuse_binding(self._rules, certificate, request, pins):
            raise RefusedError(reason, "decided while Mender was asked")
        if pins.key_state is not PinState.HELD:
            devices.pin_key(connection, request.identity, certificate, PinState.HELD, now)

    async def _audit_refusal(self, call: AuthCall, seen: _Seen, outcome: Outcome) -> None:
        """A refusal stands even when it cannot be written down; the log then has it alone.

        Whoever is refused may ask again and again: within a minute, more of the same is counted in the ledger alone.
        """
        entry = _entry(self._now(), call, seen, outcome.reason, outcome.detail)
        if not self.ledger.turned_away(entry, outcome.reason):
            return
        log.warning(
            "device refused" if outcome.reason.verdict is Verdict.REFUSED else "device told to come again",
            reason=outcome.reason.code,
            detail=outcome.detail or outcome.reason.text,
            identity=entry.identity[:LOGGED],
            serial=entry.certificate_serial,
            address=call.address,
            request_id=call.request_id,
        )
        if outcome.reason is Reason.OVERLOADED:
            return  # nothing was decided, and writing it down would add to the load
        try:
            await self._database.run(lambda c: append(c, entry))
        except RefusedError as error:
            log.error("audit not written", error=str(error), request_id=call.request_id)  # noqa: TRY400 - no traceback
        except Exception:
            log.exception("audit not written", request_id=call.request_id)


def _read_certificate(header: str) -> DeviceCertificate:
    try:
        return device_certificate_from_header(header)
    except ValueError as error:
        raise RefusedError(Reason.CERTIFICATE_UNREADABLE, str(error)[:200]) from error


def _entry(now: dt.datetime, call: AuthCall, seen: _Seen, reason: Reason, detail: str) -> AuditEntry:
    certificate, request = seen.certificate, seen.request
    return AuditEntry(
        at=now,
        event="auth-request",
        reason=reason.code,
        detail=detail,
        identity_sha256=request.identity.sha256 if request else "",
        identity=request.identity.canonical if request else "",
        auth_key_sha256=request.auth_key.spki_sha256 if request else "",
        certificate_serial=certificate.serial_hex if certificate else "",
        certificate_subject=certificate.subject if certificate else "",
        certificate_issuer=certificate.issuer if certificate else "",
        certificate_spki_sha256=certificate.spki_sha256 if certificate else "",
        address=call.address,
        request_id=call.request_id,
    )
