"""Which certificate may speak for which identity, with which key: first use, template, off, and key binding."""

import itertools
import json
from pathlib import Path

import pytest

from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.issue import make_ca, make_device, make_key, public_key_pem
from mtls_ambassador.sandbox.device_wire import AuthRequest, sign
from mtls_ambassador.settings import BindingMode, IdentityBinding, KeyBinding
from support.enrolment import Bench
from support.pki import validity

TEMPLATE = IdentityBinding(BindingMode.TEMPLATE, "mac={cn}")
OFF = IdentityBinding(BindingMode.OFF)


async def test_one_certificate_cannot_take_anothers_identity(bench: Bench) -> None:
    mine, thief = bench.device("mine"), bench.device("thief")
    assert await bench.reason(mine, "a") is Reason.ENROLLED
    assert await bench.reason(thief, "b") is Reason.ENROLLED
    bench.forget()
    for key in (None, make_key(), mine.key):
        assert await bench.reason(thief, "a", key) is Reason.KEY_SPEAKS_FOR_OTHER
    assert await bench.reason(bench.device("stranger"), "a", mine.key) is Reason.IDENTITY_TAKEN
    assert bench.calls() == 0
    assert await bench.reason(mine, "a") is Reason.KNOWN


@pytest.mark.parametrize("spelling", ['{ "mac" : "a" }', '{"mac":"\\u0061"}', '{"mac":"b","mac":"a"}'])
async def test_another_spelling_is_no_other_identity(bench: Bench, spelling: str) -> None:
    await bench.ask(bench.device("mine"), "a")
    thief = bench.device("thief")
    body = json.dumps({"id_data": spelling, "pubkey": public_key_pem(thief.key)}).encode()
    outcome = await bench.send(thief, AuthRequest(body, sign(body, thief.key)))
    assert outcome.reason is Reason.IDENTITY_TAKEN


async def test_a_fleet_that_shares_one_subject_enrols_each_with_its_own_key(bench: Bench) -> None:
    pairs = [bench.device("fixture") for _ in range(4)]
    for number, pair in enumerate(pairs):
        assert await bench.reason(pair, str(number)) is Reason.ENROLLED
    for (mine, _), (other, pair) in itertools.permutations(enumerate(pairs), 2):
        assert await bench.reason(pair, str(mine)) is Reason.KEY_SPEAKS_FOR_OTHER, other
    assert await bench.reason(bench.device("fixture"), "0") is Reason.IDENTITY_TAKEN
    assert await bench.reason(pairs[0], "0") is Reason.KNOWN


async def test_an_identity_moves_with_the_subject_and_not_with_another_issuers(bench: Bench) -> None:
    await bench.ask(bench.device("cam-1"), "a")
    assert await bench.reason(bench.device("cam-1"), "a") is Reason.KEY_ACCEPTED
    elsewhere = make_device(make_ca("Other CA", validity()), "cam-1", validity())
    assert await bench.reason(elsewhere, "a") is Reason.IDENTITY_TAKEN
    assert await bench.reason(bench.device("CAM-1"), "a") is Reason.IDENTITY_TAKEN


async def test_a_renewed_certificate_with_the_same_key_is_the_same_device(bench: Bench) -> None:
    first = bench.device("cam-1")
    await bench.ask(first, "a")
    renamed = bench.device("renamed", first.key)
    assert await bench.reason(renamed, "a") is Reason.KNOWN
    assert await bench.reason(renamed, "b") is Reason.KEY_SPEAKS_FOR_OTHER


async def test_template(tmp_path: Path) -> None:
    async with Bench.running(tmp_path, identity_binding=TEMPLATE) as bench:
        pair = bench.device("a")
        assert await bench.reason(pair, "b") is Reason.TEMPLATE_MISMATCH
        assert bench.calls() == 0
        assert await bench.reason(pair, "a") is Reason.ENROLLED
        assert await bench.reason(bench.device("a"), "a") is Reason.KEY_ACCEPTED
        assert (
            await bench.reason(make_device(make_ca("Other CA", validity()), "a", validity()), "a")
            is Reason.KEY_ACCEPTED
        )


async def test_off_is_as_menders_own_gateway(tmp_path: Path) -> None:
    async with Bench.running(tmp_path, identity_binding=OFF) as bench:
        pair = bench.device("one")
        assert await bench.reason(pair, "a") is Reason.ENROLLED
        assert await bench.reason(pair, "b") is Reason.ENROLLED
        assert await bench.reason(bench.device("two"), "a") is Reason.KEY_ACCEPTED


@pytest.mark.parametrize("binding", [IdentityBinding(BindingMode.FIRST_USE), OFF])
async def test_key_binding_certificate(tmp_path: Path, binding: IdentityBinding) -> None:
    async with Bench.running(tmp_path, key_binding=KeyBinding.CERTIFICATE, identity_binding=binding) as bench:
        pair = bench.device()
        assert await bench.reason(pair, "a", make_key()) is Reason.KEY_NOT_CERTIFICATES
        assert bench.calls() == 0
        assert await bench.reason(pair, "a") is Reason.ENROLLED
        assert await bench.reason(pair, "a", make_key()) is Reason.KEY_NOT_CERTIFICATES


async def test_what_was_let_in_without_binding_is_bound_when_it_comes_back(tmp_path: Path) -> None:
    async with Bench.running(tmp_path, identity_binding=OFF) as bench:
        pair = bench.device()
        await bench.ask(pair, "a")
        async with Bench.before(bench.sandbox, tmp_path) as later:
            assert await later.reason(pair, "a") is Reason.KNOWN
            assert await later.reason(bench.device("thief"), "a") is Reason.IDENTITY_TAKEN
