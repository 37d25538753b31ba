"""One auth request: what the device gets, what Mender was asked, what is remembered."""

import dataclasses
import datetime as dt

import pytest

from mtls_ambassador.flows.approve_move import approve_move
from mtls_ambassador.model.device import AuthSetStatus
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.sandbox.devauth import Status
from mtls_ambassador.sandbox.device_wire import make_auth_request
from support.enrolment import Bench, identity_of


async def test_a_new_device_costs_two_calls_and_one_login(bench: Bench) -> None:
    pair = bench.device()
    outcome = await bench.ask(pair, "a")
    assert (outcome.reason, outcome.answer and outcome.answer.status) == (Reason.ENROLLED, 200)
    assert bench.seen() == {"auth": 1, "preauthorize": 1, "look": 0, "accept": 0, "login": 1}
    assert bench.known("a").status is Status.ACCEPTED


async def test_a_known_device_costs_one_call(bench: Bench) -> None:
    pair = bench.device()
    await bench.ask(pair, "a")
    bench.forget()
    assert await bench.reason(pair, "a") is Reason.KNOWN
    assert bench.seen() == {"auth": 1, "preauthorize": 0, "look": 0, "accept": 0, "login": 0}


async def test_the_body_and_the_headers_go_upstream_as_they_are(bench: Bench) -> None:
    pair = bench.device()
    request = make_auth_request({"mac": "<ä>"}, pair.key)
    await bench.send(pair, request)
    (entry,) = bench.sandbox.journal.find("/api/devices/v1/authentication")
    assert entry.body == request.body
    assert entry.header("X-MEN-Signature") == request.signature
    for call in bench.sandbox.journal.find("/api/management/v2/"):
        assert call.header("X-Forwarded-For") == "192.0.2.7"


async def test_a_new_key_of_the_same_certificate_is_accepted(bench: Bench) -> None:
    """Clients from 4.x on sign with a key of their own, and may make a new one."""
    pair, key = bench.device(), make_key()
    await bench.ask(pair, "a")
    bench.forget()
    assert await bench.reason(pair, "a", key) is Reason.KEY_ACCEPTED
    assert bench.seen() == {"auth": 2, "preauthorize": 0, "look": 2, "accept": 1, "login": 0}
    assert await bench.reason(pair, "a", key) is Reason.KNOWN
    statuses = {key.status for key in bench.known("a").auth_sets.values()}
    assert statuses == {Status.ACCEPTED, Status.REJECTED}


async def test_a_renewed_certificate_with_a_new_key_is_accepted(bench: Bench) -> None:
    await bench.ask(bench.device("cam-1"), "a")
    renewed = bench.device("cam-1")
    assert await bench.reason(renewed, "a") is Reason.KEY_ACCEPTED
    assert await bench.reason(renewed, "a") is Reason.KNOWN


async def test_the_device_limit_is_told_as_that_and_raising_it_is_enough(bench: Bench) -> None:
    bench.sandbox.state.devauth.limit = 1
    first, second = bench.device("one"), bench.device("two")
    assert await bench.reason(first, "a") is Reason.ENROLLED
    for _ in range(2):
        assert await bench.reason(second, "b") is Reason.DEVICE_LIMIT
    assert await bench.reason(first, "a", make_key()) is Reason.KEY_ACCEPTED
    bench.sandbox.state.devauth.limit = 2
    assert await bench.reason(second, "b") is Reason.ENROLLED
    assert await bench.mender.count_devices(AuthSetStatus.ACCEPTED) == 2


async def test_the_device_limit_for_a_device_that_is_pending(bench: Bench) -> None:
    bench.sandbox.state.devauth.limit = 0
    pair = bench.device()
    with pytest.raises(Exception, match="unauthorized"):
        bench.sandbox.state.devauth.submit(identity_of("a"), public_key_pem(pair.key))
    assert await bench.reason(pair, "a") is Reason.DEVICE_LIMIT
    bench.sandbox.state.devauth.limit = -1
    assert await bench.reason(pair, "a") is Reason.KEY_ACCEPTED


async def test_nothing_forged_or_malformed_reaches_upstream(bench: Bench) -> None:
    pair = bench.device()
    good = make_auth_request({"mac": "a"}, pair.key)
    other = make_auth_request({"mac": "b"}, pair.key)
    for request, reason in [
        (dataclasses.replace(good, signature=other.signature), Reason.SIGNATURE_WRONG),
        (dataclasses.replace(good, signature=""), Reason.SIGNATURE_MISSING),
        (dataclasses.replace(good, body=good.body + b" "), Reason.SIGNATURE_WRONG),
        (dataclasses.replace(good, body=b"{}"), Reason.MALFORMED),
        (dataclasses.replace(good, body=b" " * 70_000), Reason.TOO_LARGE),
    ]:
        assert (await bench.send(pair, request)).reason is reason
    for header in ("", "x", "-----BEGIN%20CERTIFICATE-----", "%ff"):
        assert (await bench.send(pair, good, header)).reason is Reason.CERTIFICATE_UNREADABLE
    assert bench.calls() == 0


async def test_certificate_dates_by_the_gateways_clock(bench: Bench) -> None:
    pair = bench.device()
    for days, reason in [
        (-2, Reason.CERTIFICATE_NOT_YET_VALID),
        (31, Reason.CERTIFICATE_EXPIRED),
        (0, Reason.ENROLLED),
        (31, Reason.CERTIFICATE_EXPIRED),
        (0, Reason.KNOWN),
    ]:
        bench.clock.ahead = dt.timedelta(days=days)
        assert await bench.reason(pair, "a") is reason


async def test_every_decision_is_one_row_with_all_that_is_known(bench: Bench) -> None:
    pair, thief = bench.device(), bench.device("thief")
    asked = [(pair, "a"), (pair, "a"), (thief, "a"), (pair, "b")]
    reasons = [await bench.reason(presented, mac) for presented, mac in asked]
    await bench.send(pair, make_auth_request({"mac": "a"}, pair.key), "")
    entries = await bench.audit()
    assert [entry.reason for entry in entries] == [*(reason.code for reason in reasons), "certificate-unreadable"]
    assert [entry.identity for entry in entries] == [identity_of(mac).canonical for mac in "aaaba"]
    assert [entry.certificate_subject for entry in entries] == ["CN=device", "CN=device", "CN=thief", "CN=device", ""]
    assert {(entry.address, entry.request_id, entry.event) for entry in entries} == {
        ("192.0.2.7", "request-1", "auth-request")
    }


async def test_an_approved_move_lets_another_certificate_in(bench: Bench) -> None:
    pair, board = bench.device(), bench.device("new-board")
    await bench.ask(pair, "a")
    assert await bench.reason(board, "a") is Reason.IDENTITY_TAKEN
    presented = device_certificate(board.certificate_pem)
    done = await approve_move(bench.database, identity_of("a"), presented, "me", bench.clock())
    assert [pin.subject for pin in done.holders] == ["CN=device"]
    assert await bench.reason(board, "a") is Reason.KEY_ACCEPTED
    assert await bench.reason(board, "a") is Reason.KNOWN
    assert await bench.reason(pair, "a") is Reason.IDENTITY_TAKEN
