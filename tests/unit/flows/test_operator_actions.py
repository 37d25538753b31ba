"""What an operator does from inside the service: as by command, while devices go on asking, and audited by name."""

import asyncio
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest

from mtls_ambassador.flows.denial_targets import Selection
from mtls_ambassador.flows.operator_actions import Actions
from mtls_ambassador.model.errors import AmbassadorError, FaultsError
from mtls_ambassador.model.operator import Operator, Scope
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.authority import spki_sha256
from mtls_ambassador.pki.issue import Pair, make_ca, make_device
from mtls_ambassador.settings import BindingMode, IdentityBinding
from mtls_ambassador.store.audit import AuditEntry, read_all
from support.enrolment import Bench, identity_of, settings_for
from support.pki import validity

MAC = "52:54:00:12:34:56"


@dataclass(frozen=True, slots=True)
class Desk:
    """An operator's, beside a gateway."""

    bench: Bench
    folder: Path

    def actions(self, **changes: object) -> Actions:
        bundle = self.folder / "ca.pem"
        bundle.write_bytes(self.bench.ca.certificate_pem)
        settings = settings_for(self.bench.sandbox.url, self.folder / "state", tenant_ca=bundle, **changes)
        return Actions(settings, self.bench.database, Operator("marta", Scope.WRITE, "password"), self.bench.clock)

    async def audit(self, event: str) -> list[AuditEntry]:
        return [entry for entry in await self.bench.database.run(read_all) if entry.event == event]


@pytest.fixture
def desk(bench: Bench, tmp_path: Path) -> Desk:
    return Desk(bench, tmp_path)


def key_of(pair: Pair) -> str:
    return spki_sha256(pair.certificate.public_key()).hex()


async def taken(desk: Desk) -> Pair:
    """A certificate that is refused, because another has the identity."""
    assert await desk.bench.reason(desk.bench.device("first"), MAC) is Reason.ENROLLED
    second = desk.bench.device("second")
    assert await desk.bench.reason(second, MAC) is Reason.IDENTITY_TAKEN
    return second


async def test_a_move_by_the_certificate(desk: Desk) -> None:
    second = await taken(desk)
    moved = await desk.actions().approve(identity_of(MAC), second.certificate_pem)
    assert (len(moved.approved.holders), moved.approved.is_known, moved.warning) == (1, True, "")
    assert (await desk.bench.ask(second, MAC)).reason.verdict.name == "GRANTED"
    assert [entry.detail for entry in await desk.audit("approve-move")] == ["by marta (password)"]


async def test_a_move_by_what_was_refused(desk: Desk) -> None:
    second = await taken(desk)
    key = key_of(second)
    await desk.actions().approve_refused(identity_of(MAC), key)
    assert (await desk.bench.ask(second, MAC)).reason.verdict.name == "GRANTED"
    assert [entry.certificate_spki_sha256 for entry in await desk.audit("approve-move")] == [key]


async def test_what_was_never_refused_is_not_approved(desk: Desk) -> None:
    await taken(desk)
    third = desk.bench.device("third")
    with pytest.raises(AmbassadorError, match="key: no certificate of this key was refused for this identity"):
        await desk.actions().approve_refused(identity_of(MAC), key_of(third))
    with pytest.raises(AmbassadorError, match="no certificate of this key"):
        await desk.actions().approve_refused(identity_of("other"), key_of(third))
    assert await desk.audit("approve-move") == []


async def test_a_certificate_that_the_gateway_would_not_take_is_not_approved(desk: Desk) -> None:
    stranger = make_device(make_ca("Other", validity()), "second", validity())
    for pem, words in (
        (stranger.certificate_pem, "no CA of the gateway's trust"),
        (desk.bench.ca.certificate_pem, "is a CA's certificate"),
        (b"nothing", "is no PEM certificate"),
    ):
        with pytest.raises(AmbassadorError, match=words):
            await desk.actions().approve(identity_of(MAC), pem)
    assert await desk.audit("approve-move") == []


@pytest.mark.parametrize(
    "binding", [IdentityBinding(BindingMode.OFF), IdentityBinding(BindingMode.TEMPLATE, "mac={cn}")]
)
async def test_an_approval_without_effect_is_refused(desk: Desk, binding: IdentityBinding) -> None:
    second = await taken(desk)
    actions = desk.actions(identity_binding=binding)
    with pytest.raises(AmbassadorError, match="an approval has no effect"):
        await actions.approve(identity_of(MAC), second.certificate_pem)
    with pytest.raises(AmbassadorError, match="an approval has no effect"):
        await actions.approve_refused(identity_of(MAC), key_of(second))


async def test_revoked_and_restored_while_devices_ask(desk: Desk) -> None:
    first = desk.bench.device("first")
    assert await desk.bench.reason(first, MAC) is Reason.ENROLLED
    wanted, actions = Selection(identities=(identity_of(MAC),)), desk.actions()
    would = await actions.revoke(wanted, "keyCompromise", dry_run=True)
    assert (len(would.made), len(would.identities), would.made[0].number) == (1, 1, 0)
    others = [desk.bench.reason(desk.bench.device(f"other-{number}"), f"mac {number}") for number in range(5)]
    until = desk.bench.clock() + dt.timedelta(days=1)
    asked = asyncio.gather(*others)
    done = await actions.revoke(wanted, "keyCompromise", "stolen \0", until=until, dry_run=False)
    assert await asked == [Reason.ENROLLED] * 5
    assert (done.made[0].by, done.made[0].note, done.made[0].until) == ("marta (password)", "stolen \ufffd", until)
    assert await desk.bench.reason(first, MAC) is Reason.CERTIFICATE_DENIED
    again = await actions.revoke(wanted, "keyCompromise", dry_run=False)
    assert (len(again.made), len(again.already)) == (1, 0)  # for good outlasts until tomorrow
    lifted = await actions.restore([], wanted)
    assert len(lifted.lifted) == 2
    assert (await desk.bench.ask(first, MAC)).reason.verdict.name == "GRANTED"
    assert "marta (password)" in (await desk.audit("deny"))[0].detail
    assert "marta (password)" in (await desk.audit("restore"))[0].detail


async def test_what_is_not_known_changes_nothing(desk: Desk) -> None:
    with pytest.raises(FaultsError, match="no certificate of"):
        await desk.actions().revoke(Selection(identities=(identity_of(MAC),)), "unspecified", dry_run=False)
    with pytest.raises(FaultsError, match="no standing denial has the number 7"):
        await desk.actions().restore([7], Selection())
    assert await desk.audit("deny") == await desk.audit("restore") == []
