"""What an operator does about one device: told first what will happen, and done when it is confirmed.

`GET` changes nothing. Fails closed: without the scope to write there is neither the question nor the deed.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from mtls_ambassador.flows.denial_targets import Selection
from mtls_ambassador.flows.operator_actions import Actions
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.fleet_view import DeviceDetail
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.operator import Scope
from mtls_ambassador.web.access import require
from mtls_ambassador.web.context import CONTEXT
from mtls_ambassador.web.page import form
from mtls_ambassador.web.page.devices import find, moves_of
from mtls_ambassador.web.page.site import render


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before it is done."""

    title: str
    verb: str
    effects: list[str]
    warnings: list[str] = field(default_factory=list)
    hidden: Mapping[str, str] = field(default_factory=dict)
    may_go_on: bool = True
    is_danger: bool = False
    has_reason: bool = False
    has_note: bool = True


async def revoke(request: web.Request) -> web.Response:
    """`GET` and `POST /devices/{identity}/revoke`."""
    return await _answer(request, _ask_revoke, _do_revoke)


async def restore(request: web.Request) -> web.Response:
    """`GET` and `POST /devices/{identity}/restore`."""
    return await _answer(request, _ask_restore, _do_restore)


async def approve(request: web.Request) -> web.Response:
    """`GET` and `POST /devices/{identity}/approve?key=…`."""
    return await _answer(request, _ask_approve, _do_approve)


Ask = Callable[[web.Request, DeviceDetail], Awaitable[Question]]
Do = Callable[[web.Request, DeviceDetail, Mapping[str, str]], Awaitable[str]]


async def _answer(request: web.Request, ask: Ask, do: Do) -> web.Response:
    """The question, or the deed and back to the device; a deed that failed is told above the question."""
    require(request, Scope.WRITE)
    found = await find(request)
    given: Mapping[str, str] = {}
    fault = ""
    if request.method == "POST":
        given = await form.fields(request)
        try:
            done = await do(request, found, given)
        except AmbassadorError as error:
            fault = str(error)
        else:
            raise web.HTTPSeeOther(f"/devices/{found.row.identity_sha256}?done={done}")
    question = await ask(request, found)
    return render(
        request,
        "confirm.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        question=question,
        fault=fault,
        action=request.path,
        back=f"/devices/{found.row.identity_sha256}",
        reasons=form.REASONS,
        given={"reason": "unspecified", "until": "", "note": "", "closes": ""} | dict(given),
    )


async def _ask_revoke(request: web.Request, found: DeviceDetail) -> Question:
    try:
        told = await actions(request).revoke(_device(found), "unspecified", dry_run=True)
    except AmbassadorError as error:
        return Question("Keep this device out", "Keep it out", [str(error)], may_go_on=False)
    others = sorted(told.identities - {found.row.identity_sha256})
    effects = [f"Denied from then on: {item.what}" for item in told.made]
    effects += [f"Denied already: {item.what}, {item.reason}, by {item.by}" for item in told.already]
    effects.append("Its calls are refused within a second, on open connections too; nothing in Mender is changed.")
    warnings = [f"{len(others)} other devices with the same key are kept out too"] if others else []
    return Question(
        "Keep this device out", "Keep it out", effects, warnings, {}, bool(told.made), is_danger=True, has_reason=True
    )


async def _do_revoke(request: web.Request, found: DeviceDetail, given: Mapping[str, str]) -> str:
    context = request.app[CONTEXT]
    done = await actions(request).revoke(
        _device(found),
        form.reason(given),
        form.note(given),
        until=form.until(given, context.now()),
        closes=given.get("closes") == "yes",
        dry_run=False,
    )
    context.live.publish("denial", made=len(done.made))
    return "revoked" if done.made else "nothing"


async def _ask_restore(request: web.Request, found: DeviceDetail) -> Question:
    del request
    title, verb = "Let this device in again", "Let it in again"
    if not found.denials:
        return Question(title, verb, ["No denial of the store keeps it out."], may_go_on=False)
    effects = []
    for item in found.denials:
        until = f"until {item.until:%Y-%m-%d %H:%M} UTC" if item.until else "for good"
        effects.append(f"No longer denied: {item.what} ({item.reason}, {until}, by {item.by})")
    effects.append("It may come in again from its next call on. Other devices that these denials name may, too.")
    return Question(title, verb, effects, hidden={"numbers": ",".join(str(item.number) for item in found.denials)})


async def _do_restore(request: web.Request, found: DeviceDetail, given: Mapping[str, str]) -> str:
    """Only what was asked about, and still names this device: what somebody denied since then stays."""
    numbers = form.numbers(given)
    foreign = set(numbers) - {item.number for item in found.denials}
    if foreign or not numbers:
        raise AmbassadorError("what is denied has changed meanwhile; look at it again")
    done = await actions(request).restore(numbers, Selection(), form.note(given))
    request.app[CONTEXT].live.publish("denial", lifted=len(done.lifted))
    return "still" if done.still or done.revoked else "restored"


async def _ask_approve(request: web.Request, found: DeviceDetail) -> Question:
    key = request.query.get("key", "")
    chosen = next((item for item in moves_of(found) if item.spki_sha256 == key), None)
    title, verb = "Move the identity to another certificate", "Approve the move"
    if chosen is None:
        return Question(title, verb, ["No other certificate asks for this identity now."], may_go_on=False)
    holders = [pin for pin in found.pins if pin.state.value == "held"]
    effects = [
        f"From then on {found.row.identity} belongs to {chosen.subject}, serial {chosen.serial}, of {chosen.issuer}",
        *(f"No longer to {pin.subject}, key {pin.spki_sha256[:16]}…" for pin in holders),
        "It takes effect at the device's next auth request; nothing in Mender is changed.",
    ]
    warnings = ["Approve it only when you know that this board got that certificate: it takes over the device."]
    return Question(title, verb, effects, warnings, {"key": key}, has_note=False)


async def _do_approve(request: web.Request, found: DeviceDetail, given: Mapping[str, str]) -> str:
    identity = Identity.parse(found.row.identity)
    await actions(request).approve_refused(identity, given.get("key", ""))
    request.app[CONTEXT].live.publish("decision", event="approve-move", identity_sha256=identity.sha256)
    return "approved"


def _device(found: DeviceDetail) -> Selection:
    return Selection(identities=(Identity.parse(found.row.identity),))


def actions(request: web.Request) -> Actions:
    """What this operator does. Raises HTTPForbidden for one who only reads."""
    context = request.app[CONTEXT]
    operator = require(request, Scope.WRITE)
    return Actions(context.loaded.settings, context.database, operator, context.now)
