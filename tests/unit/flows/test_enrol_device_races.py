"""Many at once: a device is enrolled once, an identity goes to one certificate, a certificate gets one identity."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from mtls_ambassador.decide.enrol import CLAIM_LASTS
from mtls_ambassador.flows.enrol_device import Outcome
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.pki.issue import make_key
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.sandbox.devauth import Status
from mtls_ambassador.sandbox.faults import Fault
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from mtls_ambassador.settings import Limits
from mtls_ambassador.store import denials
from mtls_ambassador.store.devices import claim
from support.enrolment import PREAUTHORIZE, Bench, identity_of
from support.wait import until


def reasons(outcomes: list[Outcome]) -> Counter[Reason]:
    return Counter(outcome.reason for outcome in outcomes)


async def test_one_device_many_times_is_one_preauthorization(bench: Bench) -> None:
    pair = bench.device()
    found = reasons(await asyncio.gather(*(bench.ask(pair, "a") for _ in range(50))))
    assert found[Reason.ENROLLED] == 1
    assert found[Reason.KNOWN] >= 10
    assert found.total() == 50
    assert set(found) <= {Reason.ENROLLED, Reason.KNOWN, Reason.OVERLOADED}
    assert bench.seen()["preauthorize"] == bench.seen()["login"] == 1
    assert len(await bench.audit()) == 50 - found[Reason.OVERLOADED]


async def test_one_identity_goes_to_one_certificate(bench: Bench) -> None:
    pairs = [bench.device(f"cam-{number}") for number in range(12)]
    found = reasons(await asyncio.gather(*(bench.ask(pair, "a") for pair in pairs)))
    assert found == {Reason.ENROLLED: 1, Reason.IDENTITY_TAKEN: 11}
    assert len(bench.known("a").auth_sets) == 1


async def test_one_certificate_gets_one_identity(bench: Bench) -> None:
    pair = bench.device()
    found = reasons(await asyncio.gather(*(bench.ask(pair, str(number)) for number in range(12))))
    assert found == {Reason.ENROLLED: 1, Reason.KEY_SPEAKS_FOR_OTHER: 11}
    assert bench.sandbox.state.devauth.count() == 1


async def test_two_new_keys_of_one_device_leave_one_accepted(bench: Bench) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    keys = [make_key() for _ in range(5)]
    found = reasons(await asyncio.gather(*(bench.ask(pair, "a", key) for key in keys)))
    assert found == {Reason.KEY_ACCEPTED: 5}
    statuses = Counter(item.status for item in bench.known("a").auth_sets.values())
    assert statuses == {Status.ACCEPTED: 1, Status.REJECTED: 5}


async def test_a_fleet_at_once_is_one_login_and_two_calls_each(bench: Bench) -> None:
    pairs = [bench.device(f"cam-{number}") for number in range(60)]
    found = reasons(await asyncio.gather(*(bench.ask(pair, str(n)) for n, pair in enumerate(pairs))))
    assert found == {Reason.ENROLLED: 60}
    assert bench.seen() == {"auth": 60, "preauthorize": 60, "look": 0, "accept": 0, "login": 1}


async def test_a_login_that_expired_under_many_is_one_new_login(bench: Bench) -> None:
    await bench.ask(bench.device("first"), "first")
    bench.sandbox.state.users.expire_logins()
    bench.forget()
    pairs = [bench.device(f"cam-{number}") for number in range(60)]
    found = reasons(await asyncio.gather(*(bench.ask(pair, str(n)) for n, pair in enumerate(pairs))))
    assert found == {Reason.ENROLLED: 60}
    assert bench.seen()["login"] == 1


async def test_more_than_may_wait_are_told_to_come_again(tmp_path: Path) -> None:
    limits = Limits(enrol_concurrency=2, enrol_queue=3)
    async with Bench.running(tmp_path, limits=limits) as bench:
        bench.sandbox.faults.latency(0.2)
        pairs = [bench.device(f"cam-{number}") for number in range(12)]
        found = reasons(await asyncio.gather(*(bench.ask(pair, str(n)) for n, pair in enumerate(pairs))))
        assert found == {Reason.ENROLLED: 5, Reason.OVERLOADED: 7}
        bench.sandbox.faults.clear()
        again = reasons(await asyncio.gather(*(bench.ask(pairs[n], str(n)) for n in range(4))))
        assert set(again) <= {Reason.ENROLLED, Reason.KNOWN}


async def test_another_certificate_may_not_come_between_claim_and_record(bench: Bench) -> None:
    """Another replica holds the claim: not a moment in which two certificates both get in."""
    other, pair = bench.device("other"), bench.device("pair")
    presented = device_certificate(other.certificate_pem)
    assert await bench.database.run(lambda c: claim(c, identity_of("a"), presented, bench.clock()))
    bench.forget()
    assert await bench.reason(pair, "a") is Reason.IDENTITY_TAKEN
    assert bench.calls() == 0
    assert await bench.reason(other, "a") is Reason.ENROLLED


async def test_a_claim_of_a_process_that_died_is_void_after_a_while(bench: Bench) -> None:
    presented = device_certificate(bench.device("other").certificate_pem)
    past = bench.clock() - 2 * CLAIM_LASTS
    await bench.database.run(lambda c: claim(c, identity_of("a"), presented, past))
    assert await bench.reason(bench.device("pair"), "a") is Reason.ENROLLED


@pytest.mark.parametrize("path", [PREAUTHORIZE, AUTH_REQUESTS])
async def test_time_is_up_in_the_middle(tmp_path: Path, path: str) -> None:
    """The whole of one auth request has a time limit; the claim stays, for Mender may have said yes."""
    async with Bench.running(tmp_path, limits=Limits(upstream_timeout=0.3)) as bench:
        pair = bench.device()
        bench.sandbox.faults.add(Fault(path=path, latency=1.0, count=1))
        assert await bench.reason(pair, "a") is Reason.UPSTREAM_SLOW
        assert await bench.reason(bench.device("another"), "a") is Reason.IDENTITY_TAKEN
        assert (await bench.reason(pair, "a")).verdict is Verdict.GRANTED


async def test_a_caller_that_is_gone_keeps_its_claim(bench: Bench) -> None:
    pair = bench.device()
    bench.sandbox.faults.add(Fault(path=AUTH_REQUESTS, latency=30, count=1))
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(bench.ask(pair, "a"))
        await until(lambda: bench.calls("POST", AUTH_REQUESTS), "the call")
        asking.cancel()
    assert await bench.reason(bench.device("another"), "a") is Reason.IDENTITY_TAKEN
    assert (await bench.reason(pair, "a")).verdict is Verdict.GRANTED


async def test_a_denial_while_mender_is_asked_counts(bench: Bench) -> None:
    """Else the certificate would be remembered when every gateway has taken the denial of its key already."""
    pair = bench.device()
    presented = device_certificate(pair.certificate_pem)
    denial = Denial(DenialKind.KEY, "unspecified", "me", bench.clock(), spki_sha256=presented.spki_sha256)
    bench.sandbox.faults.add(Fault(path=AUTH_REQUESTS, latency=1, count=1))
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(bench.ask(pair, "a"))
        await until(lambda: bench.calls("POST", AUTH_REQUESTS), "the call")
        await bench.database.run(lambda c: denials.add(c, [denial]))
    outcome = await asking
    assert outcome.reason is Reason.CERTIFICATE_DENIED
    assert outcome.detail.endswith("by me: unspecified, while Mender was asked")
    assert await bench.database.run(lambda c: denials.serials_of_key(c, presented.spki_sha256)) == ([], [])
