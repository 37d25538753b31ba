"""Whatever order the calls come in, what must always hold holds."""

import datetime as dt
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtls_ambassador.model.identity import Identity
from mtls_ambassador.sandbox.devauth import DevAuth, DevAuthError, Status

IDENTITIES = st.sampled_from([Identity.parse(f'{{"n":{n}}}') for n in range(3)])
KEYS = st.sampled_from(["a", "b"])
DECISIONS = st.sampled_from([Status.ACCEPTED, Status.REJECTED, Status.PENDING])
NUMBERS = st.integers(0, 5)
LIMIT = 2


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self.auth = DevAuth(lambda: self.now, limit=LIMIT, delay=10)
        self.granted: set[str] = set()

    def pick(self, number: int) -> tuple[str, str] | None:
        sets = [(device.id, s.id) for device in self.auth.devices() for s in device.auth_sets.values()]
        return sets[number % len(sets)] if sets else None

    @rule(identity=IDENTITIES, key=KEYS)
    def submit(self, identity: Identity, key: str) -> None:
        with suppress(DevAuthError):
            auth_set = self.auth.submit(identity, key)
            assert auth_set.status is Status.ACCEPTED
            self.auth.grant(auth_set)
            self.granted.add(auth_set.id)

    @rule(identity=IDENTITIES, key=KEYS, force=st.booleans())
    def preauthorize(self, identity: Identity, key: str, *, force: bool) -> None:
        with suppress(DevAuthError):
            self.auth.preauthorize(identity, key, force=force)

    @rule(number=NUMBERS, status=DECISIONS)
    def decide(self, number: int, status: Status) -> None:
        if found := self.pick(number):
            with suppress(DevAuthError):
                self.auth.set_status(*found, status)

    @rule(number=NUMBERS)
    def delete_set(self, number: int) -> None:
        if found := self.pick(number):
            with suppress(DevAuthError):
                self.auth.delete_auth_set(*found)

    @rule(number=NUMBERS)
    def decommission(self, number: int) -> None:
        if found := self.pick(number):
            self.auth.decommission(found[0])

    @rule()
    def wait(self) -> None:
        self.now += dt.timedelta(seconds=6)

    @invariant()
    def a_device_has_one_accepted_set_at_most(self) -> None:
        for device in self.auth.devices():
            assert sum(s.status is Status.ACCEPTED for s in device.auth_sets.values()) <= 1

    @invariant()
    def the_limit_holds(self) -> None:
        assert self.auth.count(Status.ACCEPTED) <= LIMIT

    @invariant()
    def counts_are_what_a_recount_says(self) -> None:
        devices = self.auth.devices()
        assert self.auth.count() == len(devices)
        for status in Status:
            assert self.auth.count(status) == sum(device.status is status for device in devices)

    @invariant()
    def a_token_speaks_for_a_granted_accepted_set_only(self) -> None:
        sets = {s.id: (device, s) for device in self.auth.devices() for s in device.auth_sets.values()}
        for jti in self.granted:
            with suppress(DevAuthError):
                assert self.auth.check(jti) is sets[jti][0]
                assert sets[jti][1].status is Status.ACCEPTED
                assert not sets[jti][0].decommissioning


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
