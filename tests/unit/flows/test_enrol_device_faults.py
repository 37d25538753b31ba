"""Upstream or the store fails at each call: the device is told to come again, nothing is made up, it gets in later."""

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtls_ambassador.decide.enrol import Rules
from mtls_ambassador.flows.enrol_device import EnrolDevice
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.pki.issue import Pair, make_key, public_key_pem
from mtls_ambassador.sandbox.devauth import Status
from mtls_ambassador.sandbox.faults import Fault
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.settings import BindingMode, KeyBinding, Limits
from mtls_ambassador.store import devices
from support.enrolment import LOGIN, PASSWORD, PREAUTHORIZE, USER, Bench, Clock, identity_of, nobody

STATUS = f"{PREAUTHORIZE}/"
CALLS = {
    "login": Fault(path=LOGIN),
    "preauthorize": Fault(path=PREAUTHORIZE, method="POST"),
    "forward": Fault(path=AUTH_REQUESTS),
    "look": Fault(path=STATUS, method="GET"),
    "accept": Fault(path=STATUS, method="PUT"),
}
HOW = {
    "500": ({"status": 500}, Reason.UPSTREAM_FAILED),
    "503": ({"status": 503, "retry_after": "7"}, Reason.UPSTREAM_FAILED),
    "429": ({"status": 429, "retry_after": "7"}, Reason.UPSTREAM_THROTTLED),
    "reset": ({"drop": True}, Reason.UPSTREAM_UNREACHABLE),
    "answer lost": ({"drop": True, "after": True}, Reason.UPSTREAM_UNREACHABLE),
    "slow": ({"latency": 3.0}, Reason.UPSTREAM_SLOW),
}


def fault(call: str, how: str) -> tuple[Fault, Reason]:
    where = CALLS[call]
    members, reason = HOW[how]
    return Fault(path=where.path, method=where.method, count=1, **members), reason  # type: ignore[arg-type]  # a table


def limits_for(how: str) -> Limits:
    return Limits(upstream_timeout=0.7 if how == "slow" else 20)


async def standing(bench: Bench, identity: Identity) -> str | None:
    record = await bench.database.run(lambda c: devices.read_record(c, identity))
    return record.standing.value if record else None


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("call", ["login", "preauthorize", "forward"])
async def test_a_new_device(tmp_path: Path, call: str, how: str) -> None:
    async with Bench.running(tmp_path, limits=limits_for(how)) as bench:
        pair = bench.device()
        broken, reason = fault(call, how)
        bench.sandbox.faults.add(broken)
        outcome = await bench.ask(pair, "a")
        assert (outcome.reason, outcome.status, outcome.answer) == (reason, 503, None)
        assert outcome.retry_after == (7 if how in {"503", "429"} else None)
        # What Mender may have done, for all the gateway knows, is not for another certificate to do again.
        in_vain = call == "login" or (call, how) == ("preauthorize", "429")
        assert await standing(bench, identity_of("a")) == (None if in_vain else "claimed")
        assert [entry.reason for entry in await bench.audit()] == [reason.code]
        assert (await bench.reason(pair, "a")).verdict is Verdict.GRANTED
        assert await bench.reason(pair, "a") is Reason.KNOWN


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("call", ["look", "forward", "accept"])
async def test_a_known_device_with_a_new_key(tmp_path: Path, call: str, how: str) -> None:
    async with Bench.running(tmp_path, limits=limits_for(how)) as bench:
        pair, key = bench.device(), make_key()
        await bench.ask(pair, "a")
        broken, reason = fault(call, how)
        bench.sandbox.faults.add(broken)
        first = await bench.reason(pair, "a", key)
        # A GET or PUT on a kept connection that broke is sent again by the HTTP client itself (RFC 9110, 9.2.2).
        repeated = call != "forward" and reason is Reason.UPSTREAM_UNREACHABLE
        # The lost answer here is Mender's "no" to the new key, which the sandbox does not lose.
        not_lost = (call, how) == ("forward", "answer lost")
        assert first is (Reason.KEY_ACCEPTED if repeated or not_lost else reason)
        assert await standing(bench, identity_of("a")) == "accepted"
        assert (await bench.reason(pair, "a", key)).verdict is Verdict.GRANTED
        assert await bench.reason(pair, "a", key) is Reason.KNOWN


@pytest.mark.parametrize("how", HOW)
async def test_a_known_device(tmp_path: Path, how: str) -> None:
    async with Bench.running(tmp_path, limits=limits_for(how)) as bench:
        pair = bench.device()
        await bench.ask(pair, "a")
        broken, reason = fault("forward", how)
        bench.sandbox.faults.add(broken)
        assert await bench.reason(pair, "a") is reason
        assert await bench.reason(pair, "a") is Reason.KNOWN


@pytest.mark.parametrize("how", ["500", "reset"])
async def test_a_refusal_whose_cause_cannot_be_asked_for_is_a_refusal(bench: Bench, how: str) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.decide("a", pair, Status.REJECTED)
    bench.sandbox.faults.add(Fault(path=STATUS, method="GET", **HOW[how][0]))  # type: ignore[arg-type]  # a table
    assert await bench.reason(pair, "a") is Reason.WITHDRAWN


async def test_a_limit_that_cannot_be_asked_for_is_a_refusal(bench: Bench) -> None:
    bench.sandbox.state.devauth.limit = 0
    bench.sandbox.faults.error(403, "/api/management/v2/devauth/limits")
    outcome = await bench.ask(bench.device(), "a")
    assert outcome.reason is Reason.REFUSED_UPSTREAM
    assert "limit cannot be read" in outcome.detail


async def test_upstream_gone_and_back_on_the_same_port(tmp_path: Path) -> None:
    config = SandboxConfig(user=USER, password=PASSWORD)
    async with SandboxServer.running(config) as first:
        port = first.port
    later = SandboxConfig(user=USER, password=PASSWORD, port=port)
    async with Bench.before(first, tmp_path) as bench:
        pair = bench.device()
        for _ in range(3):
            assert await bench.reason(pair, "a") is Reason.UPSTREAM_UNREACHABLE
        async with SandboxServer.running(later):
            assert await bench.reason(pair, "a") is Reason.ENROLLED


async def test_an_answer_that_is_neither_yes_nor_no(bench: Bench) -> None:
    pair = bench.device()
    for status, reason, told in [
        (400, Reason.REFUSED_UPSTREAM, 400),
        (403, Reason.REFUSED_UPSTREAM, 403),
        (404, Reason.REFUSED_UPSTREAM, 404),
        (413, Reason.REFUSED_UPSTREAM, 413),
        (307, Reason.UPSTREAM_FAILED, 503),
        (200, Reason.UPSTREAM_FAILED, 503),
        (204, Reason.UPSTREAM_FAILED, 503),
    ]:
        bench.sandbox.faults.error(status, AUTH_REQUESTS, count=1)
        outcome = await bench.ask(pair, "a")
        assert (outcome.reason, outcome.status) == (reason, told)
        assert await standing(bench, identity_of("a")) == "claimed"
    assert await bench.reason(pair, "a") is Reason.ENROLLED


async def test_a_login_that_may_not_preauthorize(bench: Bench) -> None:
    bench.sandbox.faults.error(403, PREAUTHORIZE, count=1)
    assert await bench.reason(bench.device(), "a") is Reason.NOT_PERMITTED


TABLES = ["device", "pin", "audit"]


async def hide(bench: Bench, table: str) -> Callable[[], Awaitable[None]]:
    """Make the store fail wherever it needs this table; the returned function makes it whole."""
    await bench.database.run(lambda c: c.execute(sa.text(f"ALTER TABLE {table} RENAME TO hidden")))

    async def back() -> None:
        await bench.database.run(lambda c: c.execute(sa.text(f"ALTER TABLE hidden RENAME TO {table}")))

    return back


def ways_in(bench: Bench) -> dict[str, tuple[Pair, Pair]]:
    old, new = bench.device("a"), bench.device("a")
    return {"new": (old, old), "known": (old, old), "new key": (old, new)}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("way", ["new", "known", "new key"])
async def test_the_store_fails(bench: Bench, table: str, way: str) -> None:
    first, then = ways_in(bench)[way]
    if way != "new":
        await bench.ask(first, "a")
    back = await hide(bench, table)
    for _ in range(2):
        outcome = await bench.ask(then, "a")
        assert (outcome.reason, outcome.status, outcome.answer) == (Reason.STORE_FAILED, 503, None)
    await back()
    assert (await bench.reason(then, "a")).verdict is Verdict.GRANTED
    assert await bench.reason(then, "a") is Reason.KNOWN
    assert bench.known("a").auth_sets[public_key_pem(then.key)].status is Status.ACCEPTED


async def test_the_store_fails_when_a_withdrawal_is_to_be_noted(bench: Bench) -> None:
    """The withdrawal is noted by the next request, or by the one after."""
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.decide("a", pair, Status.REJECTED)
    await bench.database.run(
        lambda c: c.execute(sa.text("CREATE TRIGGER full BEFORE UPDATE ON device BEGIN SELECT no_such_function(); END"))
    )
    assert await bench.reason(pair, "a") is Reason.STORE_FAILED
    await bench.database.run(lambda c: c.execute(sa.text("DROP TRIGGER full")))
    assert await bench.reason(pair, "a") is Reason.REJECTED_BY_PERSON
    assert await standing(bench, identity_of("a")) == "withdrawn"


@dataclass
class BrokenOnce(Clock):
    """A clock that fails the first time."""

    asked: int = 0

    def __call__(self) -> dt.datetime:
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError
        return super().__call__()


async def test_a_fault_of_our_own_is_told_as_that_and_stands_in_the_audit(bench: Bench, tmp_path: Path) -> None:
    rules = Rules(KeyBinding.ANY, BindingMode.FIRST_USE)
    bench.enrol = EnrolDevice(bench.mender, bench.database, rules, Limits(), BrokenOnce(), nobody(tmp_path))
    pair = bench.device()
    outcome = await bench.ask(pair, "a")
    assert (outcome.reason, outcome.status, outcome.answer) == (Reason.INTERNAL, 503, None)
    assert [entry.reason for entry in await bench.audit()] == ["internal"]
    assert bench.calls() == 0
    assert await bench.reason(pair, "a") is Reason.ENROLLED
