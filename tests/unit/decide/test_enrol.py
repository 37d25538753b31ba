"""The enrolment rule by table, and what must hold whatever the facts."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.decide.enrol import (
    CLAIM_LASTS,
    Next,
    Rules,
    Step,
    after_inspection,
    claim_is_void,
    first_step,
    refuse_binding,
    refuse_certificate,
)
from mtls_ambassador.decide.identity_template import IdentityTemplate
from mtls_ambassador.model.auth_request import AuthKey, AuthRequest
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import (
    AuthSet,
    AuthSetStatus,
    DeviceRecord,
    MenderDevice,
    Pin,
    PinFacts,
    PinState,
    Standing,
)
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.settings import BindingMode, KeyBinding

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
IDENTITY = Identity.parse('{"mac":"a"}')
OTHER = Identity.parse('{"mac":"b"}')
ACCEPTED, PREAUTHORIZED, PENDING, REJECTED, NOAUTH = (
    AuthSetStatus.ACCEPTED,
    AuthSetStatus.PREAUTHORIZED,
    AuthSetStatus.PENDING,
    AuthSetStatus.REJECTED,
    AuthSetStatus.NOAUTH,
)


def certificate(spki: str = "k1", subject: str = "CN=a", issuer: str = "CN=ca") -> DeviceCertificate:
    names = {"cn": (subject.removeprefix("CN="),)}
    return DeviceCertificate(255, issuer, subject, spki, "f", NOW, NOW + dt.timedelta(days=1), names)


def request(identity: Identity = IDENTITY, key: str = "k1") -> AuthRequest:
    return AuthRequest(identity, AuthKey("pem", key), b"body")


def first_use(pins: PinFacts, presented: DeviceCertificate | None = None) -> Reason | None:
    rules = Rules(KeyBinding.ANY, BindingMode.FIRST_USE)
    return refuse_binding(rules, presented or certificate(), request(), pins)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW - SECOND, Reason.CERTIFICATE_NOT_YET_VALID),
        (NOW, None),
        (NOW + dt.timedelta(days=1), None),
        (NOW + dt.timedelta(days=1) + SECOND, Reason.CERTIFICATE_EXPIRED),
    ],
)
def test_dates_with_both_ends_included(now: dt.datetime, reason: Reason | None) -> None:
    assert refuse_certificate(certificate(), now) is reason


def test_denied_wins_over_dates() -> None:
    assert refuse_certificate(certificate(), NOW - SECOND, denied=True) is Reason.CERTIFICATE_DENIED
    assert refuse_certificate(certificate(), NOW, denied=True) is Reason.CERTIFICATE_DENIED


@pytest.mark.parametrize("mode", list(BindingMode))
def test_key_binding_comes_before_identity_binding(mode: BindingMode) -> None:
    template = IdentityTemplate.parse("mac={cn}")
    strict, loose = (Rules(binding, mode, template) for binding in (KeyBinding.CERTIFICATE, KeyBinding.ANY))
    other_key = request(key="k2")
    assert refuse_binding(strict, certificate(), other_key, PinFacts()) is Reason.KEY_NOT_CERTIFICATES
    assert refuse_binding(strict, certificate(), request(), PinFacts()) is None
    assert refuse_binding(loose, certificate(), other_key, PinFacts()) is None


def test_template() -> None:
    rules = Rules(KeyBinding.ANY, BindingMode.TEMPLATE, IdentityTemplate.parse("mac={cn}"))
    assert refuse_binding(rules, certificate(), request(), PinFacts()) is None
    assert refuse_binding(rules, certificate(), request(OTHER), PinFacts()) is Reason.TEMPLATE_MISMATCH


def test_a_missing_template_fails_closed() -> None:
    rules = Rules(KeyBinding.ANY, BindingMode.TEMPLATE)
    assert refuse_binding(rules, certificate(), request(), PinFacts()) is Reason.TEMPLATE_MISMATCH


def test_off_binds_nothing() -> None:
    pins = PinFacts(OTHER.sha256, PinState.HELD, (Pin("k9", "CN=ca", "CN=z"),), subject_is_shared=True)
    assert refuse_binding(Rules(KeyBinding.ANY, BindingMode.OFF), certificate(), request(), pins) is None


HELD, CLAIMED, RELEASED = PinState.HELD, PinState.CLAIMED, PinState.RELEASED
SAME, ELSE = Pin("k9", "CN=ca", "CN=a"), Pin("k9", "CN=ca", "CN=z")


@pytest.mark.parametrize(
    ("pins", "reason"),
    [
        (PinFacts(), None),
        (PinFacts(IDENTITY.sha256), None),
        (PinFacts(IDENTITY.sha256, HELD, (ELSE,), subject_is_shared=True), None),
        (PinFacts(IDENTITY.sha256, CLAIMED, (ELSE,)), None),
        (PinFacts(IDENTITY.sha256, RELEASED), None),
        (PinFacts(IDENTITY.sha256, RELEASED, (ELSE,)), Reason.IDENTITY_TAKEN),
        (PinFacts(IDENTITY.sha256, RELEASED, (SAME,)), None),
        (PinFacts(OTHER.sha256), Reason.KEY_SPEAKS_FOR_OTHER),
        (PinFacts(OTHER.sha256, RELEASED), Reason.KEY_SPEAKS_FOR_OTHER),
        (PinFacts(OTHER.sha256, HELD, (SAME,)), Reason.KEY_SPEAKS_FOR_OTHER),
        (PinFacts(holders=(SAME,)), None),
        (PinFacts(holders=(ELSE, SAME)), None),
        (PinFacts(holders=(SAME,), subject_is_shared=True), Reason.IDENTITY_TAKEN),
        (PinFacts(holders=(ELSE,)), Reason.IDENTITY_TAKEN),
        (PinFacts(holders=(Pin("k9", "CN=other ca", "CN=a"),)), Reason.IDENTITY_TAKEN),
        (PinFacts(subject_is_shared=True), None),
    ],
)
def test_first_use(pins: PinFacts, reason: Reason | None) -> None:
    assert first_use(pins) is reason


names = st.sampled_from(["CN=a", "CN=b"])
own_pin = st.just(("", None)) | st.tuples(st.sampled_from([IDENTITY.sha256, OTHER.sha256]), st.sampled_from(PinState))
pin_facts = st.builds(
    lambda own, *rest: PinFacts(*own, *rest),
    own_pin,
    st.lists(st.builds(Pin, st.sampled_from(["k2", "k3"]), names, names), max_size=3).map(tuple),
    st.booleans(),
)


@given(pin_facts, names, names)
def test_a_pinned_identity_is_not_for_strangers(pins: PinFacts, subject: str, issuer: str) -> None:
    presented = certificate(subject=subject, issuer=issuer)
    refused = first_use(pins, presented)
    if pins.key_speaks_for == IDENTITY.sha256 and pins.key_state is not RELEASED:
        assert refused is None
        return
    stranger = all((pin.issuer, pin.subject) != (issuer, subject) for pin in pins.holders)
    if pins.key_speaks_for == OTHER.sha256 or (pins.holders and (stranger or pins.subject_is_shared)):
        assert refused in {Reason.KEY_SPEAKS_FOR_OTHER, Reason.IDENTITY_TAKEN}
    else:
        assert refused is None


def record(standing: Standing, key: str = "k1", age: dt.timedelta = SECOND) -> DeviceRecord:
    return DeviceRecord(standing, key, "device", "k1", NOW - age)


@pytest.mark.parametrize(
    ("known", "step"),
    [
        (None, Step.PREAUTHORIZE),
        (record(Standing.CLAIMED, ""), Step.PREAUTHORIZE),
        (record(Standing.ACCEPTED), Step.FORWARD),
        (record(Standing.ACCEPTED, "k2"), Step.INSPECT),
        (record(Standing.WITHDRAWN, ""), Step.FORWARD),
        (record(Standing.WITHDRAWN), Step.FORWARD),
    ],
)
def test_first_step(known: DeviceRecord | None, step: Step) -> None:
    assert first_step(known, "k1") is step


def device(status: AuthSetStatus, *sets: tuple[str, AuthSetStatus], decommissioning: bool = False) -> MenderDevice:
    return MenderDevice("d", status, decommissioning, tuple(AuthSet(f"set-{key}", key, of) for key, of in sets))


ACCEPT_OWN = Next(Step.ACCEPT, auth_set_id="set-k1")
BY_PERSON = Next(refused=Reason.REJECTED_BY_PERSON)


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (None, Next(refused=Reason.DECOMMISSIONED)),
        (device(ACCEPTED, ("k1", ACCEPTED), decommissioning=True), Next(refused=Reason.DECOMMISSIONED)),
        (device(ACCEPTED, ("k1", ACCEPTED)), Next(Step.FORWARD)),
        (device(PREAUTHORIZED, ("k1", PREAUTHORIZED)), Next(Step.FORWARD)),
        (device(PENDING, ("k1", PENDING)), ACCEPT_OWN),
        (device(REJECTED, ("k1", REJECTED)), BY_PERSON),
        (device(ACCEPTED, ("k1", REJECTED), ("k2", ACCEPTED)), BY_PERSON),
        (device(ACCEPTED, ("k1", PENDING), ("k2", ACCEPTED)), ACCEPT_OWN),
        (device(ACCEPTED, ("k1", PENDING), ("k2", ACCEPTED), ("k3", REJECTED)), ACCEPT_OWN),
        (device(PENDING, ("k1", PENDING), ("k2", REJECTED)), BY_PERSON),
        (device(PENDING, ("k1", PENDING), ("k2", PENDING)), ACCEPT_OWN),
        (device(PREAUTHORIZED, ("k1", PENDING), ("k2", PREAUTHORIZED), ("k3", REJECTED)), ACCEPT_OWN),
        (device(ACCEPTED, ("k1", NOAUTH), ("k2", ACCEPTED)), BY_PERSON),
        (device(NOAUTH), Next(Step.RECORD)),
        (device(ACCEPTED, ("k2", ACCEPTED)), Next(Step.RECORD)),
        (device(PENDING, ("k2", PENDING)), Next(Step.RECORD)),
        (device(REJECTED, ("k2", REJECTED)), BY_PERSON),
    ],
)
def test_after_inspection(seen: MenderDevice | None, outcome: Next) -> None:
    assert after_inspection(seen, "k1", recorded=False) == outcome


def test_a_key_still_unknown_after_it_was_sent_is_not_sent_again() -> None:
    assert after_inspection(device(NOAUTH), "k1", recorded=True) == Next(refused=Reason.REFUSED_UPSTREAM)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (device(NOAUTH), Reason.WITHDRAWN),
        (device(PENDING, ("k2", PENDING)), Reason.WITHDRAWN),
        (device(PENDING, ("k1", PENDING)), Reason.WITHDRAWN),
        (device(PENDING, ("k1", PENDING), ("k2", PENDING)), Reason.WITHDRAWN),
        (device(REJECTED, ("k2", REJECTED)), Reason.REJECTED_BY_PERSON),
        (device(PENDING, ("k1", PENDING), ("k2", REJECTED)), Reason.REJECTED_BY_PERSON),
        (device(ACCEPTED, ("k2", ACCEPTED)), None),
        (device(PREAUTHORIZED, ("k1", PREAUTHORIZED)), None),
    ],
)
def test_a_new_key_does_not_undo_that_a_person_took_a_device_out(seen: MenderDevice, reason: Reason | None) -> None:
    assert after_inspection(seen, "k1", recorded=False, was_accepted=True).refused is reason


sets = st.lists(
    st.tuples(st.sampled_from(["k1", "k2", "k3", ""]), st.sampled_from(list(AuthSetStatus))),
    max_size=4,
    unique_by=lambda item: item[0],
)


@given(
    status=st.sampled_from(list(AuthSetStatus)),
    found=sets,
    leaving=st.booleans(),
    recorded=st.booleans(),
    was_accepted=st.booleans(),
)
def test_never_accepts_what_a_person_may_have_refused(
    *, status: AuthSetStatus, found: list[tuple[str, AuthSetStatus]], leaving: bool, recorded: bool, was_accepted: bool
) -> None:
    seen = device(status, *found, decommissioning=leaving)
    outcome = after_inspection(seen, "k1", recorded=recorded, was_accepted=was_accepted)
    assert (outcome.step is None) is (outcome.refused is not None)
    assert outcome.step not in {Step.PREAUTHORIZE, Step.INSPECT}
    own, others = dict(found).get("k1"), [of for key, of in found if key != "k1"]
    lets_in = {ACCEPTED, PREAUTHORIZED} & set(others)
    if leaving:
        assert outcome.refused is Reason.DECOMMISSIONED
    if outcome.step is Step.ACCEPT:
        assert own is PENDING
        assert outcome.auth_set_id == "set-k1"
        assert lets_in or (REJECTED not in others and not was_accepted)
    if outcome.step is Step.FORWARD:
        assert own in {ACCEPTED, PREAUTHORIZED}
    if outcome.step is Step.RECORD:
        assert own is None
        assert not recorded


def test_a_key_mender_holds_unreadably_is_nobodys() -> None:
    assert after_inspection(device(ACCEPTED, ("", ACCEPTED)), "k1", recorded=False) == Next(Step.RECORD)


def test_only_an_old_claim_is_void() -> None:
    assert not claim_is_void(record(Standing.CLAIMED, age=CLAIM_LASTS), NOW)
    assert claim_is_void(record(Standing.CLAIMED, age=CLAIM_LASTS + SECOND), NOW)
    assert not claim_is_void(record(Standing.ACCEPTED, age=CLAIM_LASTS + SECOND), NOW)
    assert not claim_is_void(record(Standing.WITHDRAWN, age=CLAIM_LASTS + SECOND), NOW)


@pytest.mark.parametrize("own", [(), (AuthSet("set-k1", "k1", PENDING),)])
def test_what_mender_accepted_before_is_not_for_whoever_asks_first(own: tuple[AuthSet, ...]) -> None:
    accepted = MenderDevice("id", ACCEPTED, decommissioning=False, auth_sets=(AuthSet("s", "k0", ACCEPTED), *own))
    assert after_inspection(accepted, "k1", recorded=False, is_first_come=True) == Next(refused=Reason.IDENTITY_TAKEN)
    assert after_inspection(accepted, "k0", recorded=False, is_first_come=True) == Next(Step.FORWARD)
    assert after_inspection(accepted, "k1", recorded=False).refused is None
