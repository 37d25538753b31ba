"""The verdict: exactly one first failure, in the order of the steps; what is over does not count."""

import datetime as dt
import shlex
from dataclasses import replace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.cli import group
from mtls_ambassador.decide.why import COMMANDS, ORDER, STEP_OF, Facts, MenderFacts, explain
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.device import AuthSetStatus, MenderDevice, Standing
from mtls_ambassador.model.explanation import StepState
from mtls_ambassador.model.fleet_view import Contact
from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.model.refusal import CallCause, HandshakeCause, Refusal, RefusalKind

NOW = dt.datetime(2026, 11, 28, 7, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
SHOWN = DeviceCertificate(0xAF, "CN=CA", "CN=x", "key", "print", NOW - DAY, NOW + DAY, {})
MET = Contact("print", "af", "CN=x", "CN=CA", NOW - DAY, NOW - HOUR, "192.0.2.1", "TLSv1.3", 9)
ACCEPTED = MenderDevice("id", AuthSetStatus.ACCEPTED, decommissioning=False, auth_sets=())
GOOD = Facts(
    "x",
    NOW,
    SHOWN,
    is_chain_known=True,
    contact=MET,
    granted_at=NOW - HOUR,
    identity='{"mac":"x"}',
    standing=Standing.ACCEPTED,
    mender=MenderFacts(device=ACCEPTED, accepted=5, limit=5),
)
REFUSALS = [
    *((RefusalKind.HANDSHAKE, item.code) for item in HandshakeCause),
    *((RefusalKind.CALL, item.code) for item in CallCause),
    *((RefusalKind.AUTH_REQUEST, item.code) for item in Reason if item.verdict is not Verdict.GRANTED),
]


def refused(kind: RefusalKind, cause: str, at: dt.datetime = NOW) -> Refusal:
    return Refusal(at, at, kind, cause, address="192.0.2.1")


def test_a_device_in_good_order_is_told_so() -> None:
    found = explain(GOOD)
    assert found.is_in
    assert [step.name for step in found.steps] == list(ORDER)
    assert {step.state for step in found.steps} == {StepState.OK}


def test_of_whom_nothing_is_known_nothing_is_claimed() -> None:
    found = explain(Facts("x", NOW))
    assert found.failed is None
    assert not found.is_in


@pytest.mark.parametrize(("kind", "cause"), REFUSALS)
def test_every_refusal_is_named_by_its_code(kind: RefusalKind, cause: str) -> None:
    found = explain(replace(GOOD, refusals=(refused(kind, cause),)))
    assert found.failed
    assert found.failed.code == cause
    assert found.failed.command
    assert not found.is_in
    words = [step for step in found.steps if step.state is StepState.FAILED]
    assert len(words) == 1


@pytest.mark.parametrize(("kind", "cause"), [item for item in REFUSALS if item[0] is not RefusalKind.CALL])
def test_what_the_device_got_over_does_not_count(kind: RefusalKind, cause: str) -> None:
    assert explain(replace(GOOD, refusals=(refused(kind, cause, NOW - 2 * HOUR),))).is_in


@pytest.mark.parametrize("cause", ["upstream-unreachable", "login-refused", "not-permitted", "store-failed"])
def test_an_outage_that_is_over_keeps_nobody_out(cause: str) -> None:
    facts = replace(GOOD, granted_at=None, mender=MenderFacts(limit=-1))
    old, new = (refused(RefusalKind.AUTH_REQUEST, cause, at) for at in (NOW - HOUR, NOW))
    assert explain(replace(facts, refusals=(old,))).failed is None
    failed = explain(replace(facts, refusals=(new,))).failed
    assert failed
    assert failed.code == cause
    still = explain(replace(facts, refusals=(old,), mender=MenderFacts(Reason.UPSTREAM_SLOW))).failed
    assert still
    assert still.code == "upstream-slow", "what Mender says now"


def test_a_limit_that_was_raised_keeps_nobody_out() -> None:
    refusals = (refused(RefusalKind.AUTH_REQUEST, "device-limit"),)
    facts = replace(GOOD, granted_at=None, refusals=refusals)
    assert explain(replace(facts, mender=MenderFacts(accepted=5, limit=6))).failed is None
    failed = explain(replace(facts, mender=MenderFacts(accepted=5, limit=5))).failed
    assert failed
    assert failed.code == "device-limit"


def test_at_an_address_a_neighbour_that_always_came_in_says_nothing() -> None:
    silent = refused(RefusalKind.HANDSHAKE, "no-certificate", NOW - 2 * HOUR)
    facts = Facts("192.0.2.1", NOW, contact=MET, refusals=(silent,))
    failed = explain(facts).failed
    assert failed
    assert failed.code == "no-certificate"
    came = replace(MET, first_at=NOW - HOUR)
    assert explain(replace(facts, contact=came)).failed is None, "it has its certificate since"


def test_no_next_command_lets_in_what_somebody_denied() -> None:
    assert not [command for command in COMMANDS.values() if "restore" in command]


def test_next_commands_are_there() -> None:
    for command in COMMANDS.values():
        words = shlex.split(command.format(identity="IDENTITY"))
        if words[0] != "mtls-ambassador":
            continue
        at: click.Command = group
        for word in words[1:]:
            if not isinstance(at, click.Group):
                break
            found = at.get_command(click.Context(at), word)
            assert found is not None, command
            at = found


def test_an_old_refusal_of_another_kind_is_over() -> None:
    facts = replace(GOOD, contact=None, granted_at=None)
    old = refused(RefusalKind.HANDSHAKE, "plain-http", NOW - HOUR)
    new = refused(RefusalKind.AUTH_REQUEST, "identity-taken")
    failed = explain(replace(facts, refusals=(new, old))).failed
    assert failed
    assert failed.code == "identity-taken"


@pytest.mark.parametrize(
    ("change", "code", "step"),
    [
        ({"certificate": replace(SHOWN, not_before=NOW + HOUR)}, "not-yet-valid", "certificate"),
        ({"certificate": replace(SHOWN, not_after=NOW - HOUR)}, "expired", "certificate"),
        ({"chain_fault": "was issued by CN=y, no CA of the gateway's trust"}, "unknown-ca", "certificate"),
        ({"chain_fault": "is not for TLS clients"}, "wrong-usage", "certificate"),
        ({"denied": ("serial af, x, by me",)}, "certificate-denied", "denylist and CRL"),
        ({"standing": Standing.WITHDRAWN}, "withdrawn", "auth set in Mender"),
        ({"mender": MenderFacts(Reason.LOGIN_REFUSED)}, "login-refused", "preauthorization"),
        (
            {"mender": MenderFacts(device=replace(ACCEPTED, decommissioning=True))},
            "decommissioned",
            "auth set in Mender",
        ),
        (
            {"mender": MenderFacts(device=replace(ACCEPTED, status=AuthSetStatus.REJECTED))},
            "rejected-by-person",
            "auth set in Mender",
        ),
        ({"mender": MenderFacts(accepted=5, limit=5)}, "device-limit", "device limit"),
        ({"mender": MenderFacts(is_looked_up=True)}, "decommissioned", "auth set in Mender"),
        (
            {"mender": MenderFacts(device=replace(ACCEPTED, status=AuthSetStatus.PENDING))},
            "withdrawn",
            "auth set in Mender",
        ),
        (
            {"mender": MenderFacts(device=replace(ACCEPTED, status=AuthSetStatus.NOAUTH))},
            "withdrawn",
            "auth set in Mender",
        ),
    ],
)
def test_what_shows_without_a_refusal(change: dict[str, object], code: str, step: str) -> None:
    failed = explain(replace(GOOD, **change)).failed  # type: ignore[arg-type]  # fields of facts
    assert failed
    assert (failed.code, failed.name) == (code, step)


@given(st.lists(st.tuples(st.sampled_from(REFUSALS), st.integers(0, 100)), max_size=8))
def test_the_verdict_is_the_first_failure_in_order(items: list[tuple[tuple[RefusalKind, str], int]]) -> None:
    refusals = tuple(refused(*what, NOW - dt.timedelta(minutes=age)) for what, age in sorted(items, key=lambda x: x[1]))
    found = explain(replace(GOOD, refusals=refusals))
    states = [step.state for step in found.steps]
    assert len(states) == len(ORDER)
    if found.failed:
        assert found.steps[states.index(StepState.FAILED)] is found.failed
    assert found.is_in == (StepState.FAILED not in states)


def test_tables_name_causes_that_there_are() -> None:
    codes = {cause for _, cause in REFUSALS}
    assert set(STEP_OF) <= codes
    assert set(COMMANDS) <= codes
    assert set(STEP_OF.values()) <= set(ORDER)
