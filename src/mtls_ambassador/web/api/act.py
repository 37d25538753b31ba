"""Handlers of what changes something; each is in the audit with who did it."""

from http import HTTPStatus

from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.flows.denial_targets import Selection
from mtls_ambassador.flows.operator_actions import Actions
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.denial import Denial
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.storable import storable
from mtls_ambassador.pki.approvable import is_authority, read_certificates
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.store import fleet_devices
from mtls_ambassador.web.api.answers import ApproveAnswer, DenialAnswer, DenyAnswer, RestoreAnswer
from mtls_ambassador.web.api.endpoint import Call, RefusalError
from mtls_ambassador.web.api.questions import Named
from mtls_ambassador.web.api.read import moment

UNFIT = HTTPStatus.UNPROCESSABLE_ENTITY


async def approve(call: Call) -> ApproveAnswer:
    """Let another certificate speak for the device."""
    body = call.body
    if (body.certificate is None) == (body.key is None):
        raise RefusalError(UNFIT, "certificate, key: give one of the two")
    found = await call.context.database.read(lambda c: fleet_devices.find(c, call.path["identity"]))
    if found is None:
        raise RefusalError(HTTPStatus.NOT_FOUND, "no device with this identity has a record here")
    identity = Identity.parse(found.identity)
    if body.key is not None:
        moved = await actions(call).approve_refused(identity, body.key)
    else:
        moved = await actions(call).approve(identity, body.certificate.encode())
    call.context.live.publish("decision", event="approve-move", identity_sha256=identity.sha256)
    return ApproveAnswer(list(moved.approved.holders), moved.warning)


async def deny(call: Call) -> DenyAnswer:
    """Keep devices out."""
    body, now = call.body, call.context.now()
    wanted, until = selection(body), moment(body.until)
    if wanted == Selection():
        raise RefusalError(UNFIT, "say what to deny: identities, serials, certificates, keys, batches, dates or issuer")
    if until is not None and until <= now:
        raise RefusalError(UNFIT, "until: is over; leave it out to deny for good")
    done = await actions(call).revoke(
        wanted, body.reason.value, storable(body.note), until=until, closes=body.close_connections, dry_run=body.dry_run
    )
    if not body.dry_run:
        call.context.live.publish("denial", made=len(done.made))

    def told(items: tuple[Denial, ...]) -> list[DenialAnswer]:
        return [DenialAnswer.of(item, now) for item in items]

    return DenyAnswer(
        body.dry_run,
        told(done.made),
        told(done.already),
        told(done.conflicts),
        told(done.put_back),
        len(done.identities),
        len(done.recorded),
    )


async def restore(call: Call) -> RestoreAnswer:
    """Let devices in again."""
    body, now = call.body, call.context.now()
    wanted = selection(body)
    if not body.numbers and wanted == Selection():
        raise RefusalError(UNFIT, "say what to let in again: numbers, or what the denials name")
    done = await actions(call).restore(body.numbers, wanted, storable(body.note))
    call.context.live.publish("denial", lifted=len(done.lifted))

    def told(items: tuple[Denial, ...], *, are_lifted: bool = False) -> list[DenialAnswer]:
        by = actions(call).by if are_lifted else ""
        return [DenialAnswer.of(item, now, now if are_lifted else None, by) for item in items]

    return RestoreAnswer(
        told(done.lifted, are_lifted=True),
        told(done.recorded, are_lifted=True),
        told(done.idle),
        told(done.still),
        [f"{serial:x}" for serial in done.revoked],
    )


def actions(call: Call) -> Actions:
    """What this operator may do."""
    context = call.context
    return Actions(context.loaded.settings, context.database, call.operator, context.now)


def selection(body: Named) -> Selection:
    """What is meant. Raises RefusalError naming the field at fault."""
    begins, ends, issuer = moment(body.issued_from), moment(body.issued_before), storable(body.issuer)
    if (begins is None) != (ends is None):
        raise RefusalError(UNFIT, "issued_from, issued_before: go together")
    if begins is not None and ends is not None and begins >= ends:
        raise RefusalError(UNFIT, "issued_from: must be before issued_before")
    names_others = body.identities or body.certificates or body.keys or body.batches
    if body.unseen and (not issuer or body.serials or begins):
        raise RefusalError(UNFIT, "unseen: goes with issuer alone")
    if issuer and names_others and not (body.serials or begins):
        raise RefusalError(UNFIT, "issuer: goes with serials or dates, or stands alone")
    return Selection(
        tuple(map(_identity, body.identities)),
        tuple(int(text, 16) for text in body.serials),
        tuple(map(_certificate, body.certificates)),
        tuple(body.keys),
        tuple(map(storable, body.batches)),
        (begins, ends) if begins and ends else None,
        issuer,
        body.unseen,
    )


def _identity(text: str) -> Identity:
    try:
        return Identity.parse(text)
    except ValueError as error:
        raise RefusalError(UNFIT, f"identities: {error}; an identity is a JSON object, as text") from error


def _certificate(text: str) -> DeviceCertificate:
    try:
        first = read_certificates(text.encode(errors="replace"))[0]
        if is_authority(first):
            raise RefusalError(UNFIT, "certificates: holds a CA's; issuer means all that it issued")
        return device_certificate(first.public_bytes(Encoding.PEM))
    except ValueError as error:
        raise RefusalError(UNFIT, f"certificates: {error}") from error
