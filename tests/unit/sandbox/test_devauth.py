"""The state machine of device authentication: every transition, and what surprises in Mender."""

import datetime as dt
from itertools import product

import pytest

from mtls_ambassador.model.identity import Identity
from mtls_ambassador.sandbox.devauth import (
    BadRequestError,
    DevAuth,
    Device,
    DeviceExistsError,
    LimitError,
    NotFoundError,
    Status,
    StatusBrokenError,
    UnauthorizedError,
)

ONE, TWO = Identity.parse('{"mac":"one"}'), Identity.parse('{"mac":"two"}')
A, R, P, Q = Status.ACCEPTED, Status.REJECTED, Status.PENDING, Status.PREAUTHORIZED


class Clock:
    def __init__(self) -> None:
        self.now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth(clock: Clock) -> DevAuth:
    return DevAuth(clock, delay=5)


def pending(auth: DevAuth, identity: Identity = ONE, key: str = "key") -> tuple[Device, str]:
    with pytest.raises(UnauthorizedError, match=r"^dev auth: unauthorized$"):
        auth.submit(identity, key)
    device = auth.find(identity)
    assert device is not None
    return device, device.auth_sets[key].id


def accepted(auth: DevAuth, identity: Identity = ONE, key: str = "key") -> tuple[Device, str]:
    device, auth_id = pending(auth, identity, key)
    auth.set_status(device.id, auth_id, A)
    auth.grant(auth.submit(identity, key))
    return device, auth_id


def in_status(auth: DevAuth, status: Status) -> tuple[Device, str]:
    if status is Q:
        device = auth.device(auth.preauthorize(ONE, "key"))
        return device, device.auth_sets["key"].id
    device, auth_id = pending(auth)
    auth.set_status(device.id, auth_id, status)
    return device, auth_id


# What devices do


def test_an_unknown_device_is_recorded_as_pending_and_refused(auth: DevAuth) -> None:
    device, _ = pending(auth)
    assert (device.status, auth.count(P), auth.count()) == (P, 1, 1)


def test_asking_again_records_nothing_new(auth: DevAuth) -> None:
    device, auth_id = pending(auth)
    assert pending(auth) == (device, auth_id)
    assert len(device.auth_sets) == 1


def test_the_same_identity_in_another_spelling_is_the_same_device(auth: DevAuth) -> None:
    device, _ = pending(auth, Identity.parse('{"b": 1.0, "a": "<"}'))
    assert pending(auth, Identity.parse('{"a":"\\u003c","b":1}'))[0] is device


def test_a_preauthorized_device_is_accepted_by_its_first_request(auth: DevAuth) -> None:
    device_id = auth.preauthorize(ONE, "key")
    assert auth.device(device_id).status is Q
    assert auth.submit(ONE, "key").status is A
    assert auth.device(device_id).status is A


def test_a_preauthorized_device_with_another_key_waits(auth: DevAuth) -> None:
    device_id = auth.preauthorize(ONE, "key")
    pending(auth, key="other")
    assert auth.device(device_id).status is Q


def test_a_rejected_device_stays_out(auth: DevAuth) -> None:
    device, _ = in_status(auth, R)
    pending(auth)
    assert device.status is R
    assert device.auth_sets["key"].status is R


def test_a_new_key_of_an_accepted_device_waits_while_the_old_one_goes_on(auth: DevAuth) -> None:
    device, old = accepted(auth)
    _, new = pending(auth, key="new")
    assert device.status is A
    assert auth.check(old) is device
    auth.set_status(device.id, new, A)
    assert device.auth_sets["key"].status is R
    with pytest.raises(UnauthorizedError):
        auth.check(old)


def test_accepting_by_preauthorization_rejects_the_set_accepted_before(auth: DevAuth) -> None:
    device, _ = accepted(auth)
    auth.preauthorize(ONE, "new", force=True)
    auth.submit(ONE, "new")
    assert {key: s.status for key, s in device.auth_sets.items()} == {"key": R, "new": A}


# Tokens


def test_a_token_needs_to_have_been_granted(auth: DevAuth) -> None:
    _, auth_id = in_status(auth, A)
    with pytest.raises(UnauthorizedError):
        auth.check(auth_id)


@pytest.mark.parametrize("status", [R, P])
def test_a_token_stops_when_its_set_is_no_longer_accepted_for_good(auth: DevAuth, status: Status) -> None:
    device, auth_id = accepted(auth)
    auth.set_status(device.id, auth_id, status)
    with pytest.raises(UnauthorizedError):
        auth.check(auth_id)
    auth.set_status(device.id, auth_id, A)
    with pytest.raises(UnauthorizedError):
        auth.check(auth_id)


def test_a_revoked_token_stops_and_the_device_may_ask_again(auth: DevAuth) -> None:
    _, auth_id = accepted(auth)
    auth.revoke_token(auth_id)
    with pytest.raises(UnauthorizedError):
        auth.check(auth_id)
    auth.grant(auth.submit(ONE, "key"))
    auth.check(auth_id)


def test_revoking_what_is_not_there_is_an_error(auth: DevAuth) -> None:
    with pytest.raises(NotFoundError, match="token not found"):
        auth.revoke_token("nix")


def test_all_tokens_can_be_revoked_at_once(auth: DevAuth) -> None:
    _, auth_id = accepted(auth)
    auth.revoke_all_tokens()
    with pytest.raises(UnauthorizedError):
        auth.check(auth_id)


def test_a_call_is_noted_as_check_in(auth: DevAuth, clock: Clock) -> None:
    device, auth_id = accepted(auth)
    clock.advance(7)
    auth.check(auth_id)
    assert device.check_in == clock.now


# Preauthorization


@pytest.mark.parametrize("status", [A, R, P, Q])
def test_a_known_identity_cannot_be_preauthorized(auth: DevAuth, status: Status) -> None:
    device, _ = in_status(auth, status)
    with pytest.raises(DeviceExistsError) as refused:
        auth.preauthorize(ONE, "new")
    assert refused.value.device is device
    assert list(device.auth_sets) == ["key"]
    assert device.status is status


def test_nor_one_without_any_set(auth: DevAuth) -> None:
    device, auth_id = pending(auth)
    auth.delete_auth_set(device.id, auth_id)
    assert device.status is Status.NOAUTH
    with pytest.raises(DeviceExistsError):
        auth.preauthorize(ONE, "key")


@pytest.mark.parametrize("status", [A, R, P])
def test_force_overwrites_the_set_leaves_the_device_and_names_no_device(auth: DevAuth, status: Status) -> None:
    device, auth_id = in_status(auth, status)
    location = auth.preauthorize(ONE, "key", force=True)
    with pytest.raises(NotFoundError):
        auth.device(location)
    assert (auth.auth_set(auth_id).status, device.status) == (Q, status)
    assert auth.submit(ONE, "key").status is A


def test_force_logs_an_accepted_device_out_until_it_asks_again(auth: DevAuth) -> None:
    _, auth_id = accepted(auth)
    auth.preauthorize(ONE, "key", force=True)
    with pytest.raises(UnauthorizedError):
        auth.check(auth_id)
    auth.grant(auth.submit(ONE, "key"))
    auth.check(auth_id)


def test_force_on_an_unknown_identity_is_a_plain_preauthorization(auth: DevAuth) -> None:
    assert auth.device(auth.preauthorize(ONE, "key", force=True)).status is Q


def test_two_preauthorized_sets_break_the_status(auth: DevAuth) -> None:
    device, _ = in_status(auth, R)
    auth.preauthorize(ONE, "two", force=True)
    auth.preauthorize(ONE, "three", force=True)
    with pytest.raises(StatusBrokenError):
        auth.submit(ONE, "four")
    assert device.auth_sets["four"].status is P


# A person's decisions

ALLOWED = {(P, A), (R, A), (P, R), (A, R), (A, P), (R, P)}


@pytest.mark.parametrize(("before", "after"), list(product([A, R, P, Q], [A, R, P])))
def test_transitions(auth: DevAuth, before: Status, after: Status) -> None:
    device, auth_id = in_status(auth, before)
    if before is after or (before, after) in ALLOWED:
        auth.set_status(device.id, auth_id, after)
        assert device.status is after
        assert auth.count(after) == 1
    else:
        with pytest.raises(BadRequestError, match=r"^dev auth: bad request$"):
            auth.set_status(device.id, auth_id, after)
        assert device.status is before


def test_a_set_of_another_device_is_a_mismatch(auth: DevAuth) -> None:
    _, auth_id = pending(auth)
    other, _ = pending(auth, TWO)
    with pytest.raises(BadRequestError, match="mismatch"):
        auth.set_status(other.id, auth_id, A)


def test_an_unknown_set_is_not_found(auth: DevAuth) -> None:
    device, _ = pending(auth)
    with pytest.raises(NotFoundError, match="authorization set not found"):
        auth.set_status(device.id, "nix", A)


def test_the_device_is_as_good_as_its_best_set(auth: DevAuth) -> None:
    device, one = pending(auth)
    auth.set_status(device.id, one, R)
    assert device.status is R
    _, two = pending(auth, key="two")
    assert device.status is P
    auth.set_status(device.id, two, A)
    assert device.status is A
    auth.set_status(device.id, two, R)
    assert device.status is R


# The limit


def test_the_limit_holds_for_preauthorized_devices_when_they_ask(auth: DevAuth) -> None:
    auth.limit = 1
    accepted(auth)
    auth.preauthorize(TWO, "key")
    with pytest.raises(LimitError):
        auth.submit(TWO, "key")
    auth.limit = 2
    assert auth.submit(TWO, "key").status is A


def test_the_limit_holds_for_people(auth: DevAuth) -> None:
    auth.limit = 0
    device, auth_id = pending(auth)
    with pytest.raises(LimitError, match="maximum number of accepted devices reached"):
        auth.set_status(device.id, auth_id, A)
    assert device.status is P


def test_at_the_limit_an_accepted_device_may_still_change_its_key(auth: DevAuth) -> None:
    auth.limit = 1
    device, _ = accepted(auth)
    _, new = pending(auth, key="new")
    auth.set_status(device.id, new, A)
    assert (device.auth_sets["new"].status, auth.count(A)) == (A, 1)


# Going


def test_a_decommissioned_device_gets_nothing_and_is_gone_later(auth: DevAuth, clock: Clock) -> None:
    gone: list[str] = []
    auth.on_removed.append(gone.append)
    device, auth_id = accepted(auth)
    auth.decommission(device.id)
    with pytest.raises(UnauthorizedError):
        auth.check(auth_id)
    pending(auth)
    with pytest.raises(DeviceExistsError):
        auth.preauthorize(ONE, "key")
    clock.advance(5)
    assert (auth.find(ONE), auth.count(), auth.count(A), gone) == (None, 0, 0, [device.id])
    assert auth.preauthorize(ONE, "key") != device.id


def test_a_preauthorized_device_that_is_decommissioned_is_refused(auth: DevAuth) -> None:
    auth.decommission(auth.preauthorize(ONE, "key"))
    with pytest.raises(UnauthorizedError):
        auth.submit(ONE, "key")


def test_an_unknown_device_cannot_be_decommissioned(auth: DevAuth) -> None:
    with pytest.raises(NotFoundError, match="device not found"):
        auth.decommission("nix")


def test_the_last_set_of_a_preauthorized_device_takes_it_along(auth: DevAuth) -> None:
    device, auth_id = in_status(auth, Q)
    auth.delete_auth_set(device.id, auth_id)
    assert auth.find(ONE) is None
    assert auth.count(Q) == 0


def test_deleting_the_accepted_set_ends_its_tokens(auth: DevAuth) -> None:
    device, auth_id = accepted(auth)
    auth.delete_auth_set(device.id, auth_id)
    with pytest.raises(UnauthorizedError):
        auth.check(auth_id)
    assert device.status is Status.NOAUTH


def test_a_set_is_deleted_under_its_own_device_only(auth: DevAuth) -> None:
    _, auth_id = pending(auth)
    other, _ = pending(auth, TWO)
    with pytest.raises(NotFoundError):
        auth.delete_auth_set(other.id, auth_id)
    auth.auth_set(auth_id)


def test_lists_are_sorted_by_status_and_id_and_filtered(auth: DevAuth) -> None:
    for number in range(6):
        device, auth_id = pending(auth, Identity.parse(f'{{"n":{number}}}'))
        if number % 2:
            auth.set_status(device.id, auth_id, A)
    everyone = auth.devices()
    assert [(d.status, d.id) for d in everyone] == sorted((d.status, d.id) for d in everyone)
    assert {d.status for d in auth.devices({A})} == {A}
    chosen = [everyone[0].id, everyone[5].id]
    assert [d.id for d in auth.devices(ids=chosen)] == chosen
    assert auth.devices({R}, chosen) == []
