"""Whatever the order in which devices ask and persons decide: what must never happen does not.

The real flow before the real sandbox; hypothesis chooses who does what next.
"""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.pki.issue import Pair, PrivateKey, make_key, public_key_pem
from mtls_ambassador.sandbox.devauth import DevAuthError, Device, Status
from mtls_ambassador.sandbox.faults import Fault
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from support.enrolment import PREAUTHORIZE, Bench, identity_of

T = TypeVar("T")
MACS, SUBJECTS = st.sampled_from(["a", "b"]), st.sampled_from(["one", "two"])
KEYS = [make_key() for _ in range(2)]
LETS_IN = {Status.ACCEPTED, Status.PREAUTHORIZED}
FAULTS = [
    Fault(path=PREAUTHORIZE, status=500, count=1),
    Fault(path=AUTH_REQUESTS, status=503, count=1),
    Fault(path=AUTH_REQUESTS, drop=True, after=True, count=1),
    Fault(path=PREAUTHORIZE, method="POST", drop=True, after=True, count=1),
    Fault(path=f"{PREAUTHORIZE}/", method="PUT", status=500, count=1),
]


class Enrolment(RuleBasedStateMachine):
    """Two identities, two subjects with any number of certificates, persons, and an upstream that fails."""

    pairs: Bundle[Pair] = Bundle("pairs")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = self.run(self.stack.enter_async_context(Bench.running(Path(self.folder.name))))
        self.devauth = self.bench.sandbox.state.devauth
        self.known: set[str] = set()
        """Identities the gateway has let in."""
        self.holders: dict[str, list[Pair]] = {}
        """Certificates that got in, by identity, since a decommissioning freed it."""
        self.asked = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        totals = self.bench.enrol.ledger.totals
        assert sum(count for (kind, _), count in totals.items() if kind == "auth-requests") == self.asked
        assert len(self.run(self.bench.audit())) <= self.asked, "a row for each decision, but more of the same refusal"
        self.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    @initialize(target=pairs)
    def first(self) -> Pair:
        return self.bench.device("one")

    @rule(target=pairs, subject=SUBJECTS)
    def issue(self, subject: str) -> Pair:
        return self.bench.device(subject)

    @rule(pair=pairs, mac=MACS, key=st.sampled_from([None, None, *KEYS]))
    def ask(self, pair: Pair, mac: str, key: PrivateKey | None) -> None:
        others = self.statuses(but=mac)
        taken_out = mac in self.known and not self.is_in(mac)
        self.bench.forget()
        outcome = self.run(self.bench.ask(pair, mac, key))
        self.asked += 1
        self.bench.sandbox.faults.clear()
        assert outcome.reason is not Reason.INTERNAL
        assert self.statuses(but=mac) == others, "another device changed"
        granted = outcome.reason.verdict is Verdict.GRANTED
        if taken_out:
            assert not granted, "a person's decision was undone"
            assert self.bench.seen()["preauthorize"] == self.bench.seen()["accept"] == 0
        if granted:
            self.check_holder(pair, mac)
            used = self.bench.known(mac).auth_sets[public_key_pem(key or pair.key)]
            assert used.status is Status.ACCEPTED
            self.known.add(mac)
            self.holders.setdefault(mac, []).append(pair)
        if outcome.reason is Reason.DECOMMISSIONED:
            self.holders.pop(mac, None)

    def check_holder(self, pair: Pair, mac: str) -> None:
        holders = self.holders.get(mac, [])
        subjects = {holder.certificate.subject for holder in holders}
        assert not holders or pair.certificate.subject in subjects, "an identity went to another subject"
        elsewhere = [other for other, held in self.holders.items() if other != mac and pair in held]
        assert not elsewhere, "one certificate has two identities"

    @rule(mac=MACS, choice=st.integers(0, 5), key=st.sampled_from([None, None, *KEYS]))
    def come_back(self, mac: str, choice: int, key: PrivateKey | None) -> None:
        """A device that got in before asks again, maybe with a new auth key."""
        if pair := self.holder(mac, choice):
            self.ask(pair, mac, key)

    @rule(target=pairs, mac=MACS, choice=st.integers(0, 5))
    def renew(self, mac: str, choice: int) -> Pair:
        """A device that got in before asks with a new certificate of its subject."""
        holder = self.holder(mac, choice)
        pair = self.bench.device(common_name(holder) if holder else "one")
        self.ask(pair, mac, None)
        return pair

    def holder(self, mac: str, choice: int) -> Pair | None:
        held = self.holders.get(mac, [])
        return held[choice % len(held)] if held else None

    @rule(mac=MACS, status=st.sampled_from(["rejected", "pending"]))
    def take_out(self, mac: str, status: str) -> None:
        """A person takes out the device that is in, and it asks again, with its key or a new one."""
        device = self.find(mac)
        for auth_set in device.auth_sets.values() if device else ():
            if auth_set.status is Status.ACCEPTED:
                self.devauth.set_status(auth_set.device_id, auth_set.id, Status(status))
                break
        self.come_back(mac, 0, None)
        self.come_back(mac, 0, KEYS[0])

    @rule(mac=MACS, number=st.integers(0, 5), status=st.sampled_from(["accepted", "rejected", "pending"]))
    def decide(self, mac: str, number: int, status: str) -> None:
        device = self.find(mac)
        if device and device.auth_sets:
            auth_sets = list(device.auth_sets.values())
            with suppress(DevAuthError):
                self.devauth.set_status(device.id, auth_sets[number % len(auth_sets)].id, Status(status))

    @rule(mac=MACS, number=st.integers(0, 5))
    def dismiss(self, mac: str, number: int) -> None:
        device = self.find(mac)
        if device and device.auth_sets:
            auth_sets = list(device.auth_sets.values())
            self.devauth.delete_auth_set(device.id, auth_sets[number % len(auth_sets)].id)

    @rule(mac=MACS)
    def decommission(self, mac: str) -> None:
        if device := self.find(mac):
            self.devauth.decommission(device.id)

    @rule(limit=st.sampled_from([-1, -1, 1, 2]))
    def set_limit(self, limit: int) -> None:
        self.devauth.limit = limit

    @rule(number=st.integers(0, len(FAULTS) - 1))
    def fail(self, number: int) -> None:
        fault = FAULTS[number]
        self.bench.sandbox.faults.add(
            Fault(fault.path, fault.method, status=fault.status, drop=fault.drop, after=fault.after, count=1)
        )

    def find(self, mac: str) -> Device | None:
        return self.devauth.find(identity_of(mac))

    def is_in(self, mac: str) -> bool:
        device = self.find(mac)
        return device is not None and any(item.status in LETS_IN for item in device.auth_sets.values())

    def statuses(self, *, but: str) -> dict[str, Status]:
        return {
            auth_set.id: auth_set.status
            for device in self.devauth.devices()
            if device.identity != identity_of(but)
            for auth_set in device.auth_sets.values()
        }


def common_name(pair: Pair) -> str:
    return pair.certificate.subject.rfc4514_string().removeprefix("CN=")


TestEnrolment = Enrolment.TestCase
TestEnrolment.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
