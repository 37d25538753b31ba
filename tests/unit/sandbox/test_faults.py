import asyncio

import aiohttp
import pytest

from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.sandbox.faults import Fault, Faults
from support.sandbox_caller import DEVAUTH, LOGIN, Caller

PEM = public_key_pem(make_key())


def test_a_fault_is_used_up() -> None:
    faults = Faults()
    fault = faults.error(503, count=2)
    assert [len(faults.pick("GET", "/api/x")) for _ in range(3)] == [1, 1, 0]
    assert (fault.hits, faults.active) == (2, [])


def test_a_fault_hits_its_paths_and_methods_only() -> None:
    faults = Faults()
    faults.add(Fault(path="/api/devices/", method="PUT", drop=True))
    assert [
        bool(faults.pick(*call)) for call in [("PUT", "/api/devices/a"), ("GET", "/api/devices/a"), ("PUT", "/api/m")]
    ] == [
        True,
        False,
        False,
    ]


def test_latency_adds_to_the_first_ending_fault() -> None:
    faults = Faults()
    slow, broken, other = faults.latency(1), faults.error(500), faults.error(502)
    assert faults.pick("GET", "/api/") == [slow, broken]
    faults.remove(broken)
    faults.remove(broken)
    assert faults.pick("GET", "/api/") == [slow, other]
    faults.clear()
    assert faults.pick("GET", "/api/") == []


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_an_error_to_order_has_menders_shape(caller: Caller, status: int) -> None:
    caller.sandbox.faults.error(status, LOGIN, retry_after="7", count=1)
    answer = await caller.login()
    assert (answer.status, answer.headers["Retry-After"]) == (status, "7")
    assert answer.error
    assert (await caller.login()).status == 200


@pytest.mark.parametrize("after", [False, True])
async def test_a_dropped_connection_before_or_after_the_work(caller: Caller, after: bool) -> None:  # noqa: FBT001 - a case
    await caller.manage("GET", f"{DEVAUTH}/devices")
    caller.sandbox.faults.drop(DEVAUTH, count=1, after=after)
    body = {"identity_data": {"a": 1}, "pubkey": PEM}
    with pytest.raises(aiohttp.ClientOSError):
        await caller.manage("POST", f"{DEVAUTH}/devices", json=body)
    assert caller.sandbox.state.devauth.count() == int(after)
    assert caller.sandbox.journal.find(f"{DEVAUTH}/devices", "POST")[0].status is None


async def test_latency_holds_up_the_requests_it_hits_only(caller: Caller) -> None:
    caller.sandbox.faults.latency(0.2, LOGIN, count=1)
    done: list[str] = []

    async def log_in(name: str) -> None:
        assert (await caller.login()).status == 200
        done.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(log_in("held up"))
        while caller.sandbox.faults.active:
            await caller.call("GET", "/sandbox/faults")
        await log_in("at once")
    assert done == ["at once", "held up"]


async def test_the_sandboxs_own_paths_are_spared(caller: Caller) -> None:
    caller.sandbox.faults.drop()
    assert (await caller.call("GET", "/sandbox/faults")).status == 200
    assert (await caller.call("GET", "/")).status == 200
