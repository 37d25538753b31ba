"""What happened while a fault was there and after it, and what of that the gateway must never let happen. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """Who somebody is to the gateway."""

    GOOD = "good"
    """Enrolled before the fault."""
    NEW = "new"
    """Enrols for the first time while the history runs."""
    DENIED = "denied"
    """Of the gateway's CA, but on a list of the denied."""
    STRANGER = "stranger"
    """With a certificate of another CA, or with none."""


UNWELCOME = frozenset({Role.DENIED, Role.STRANGER})


class Kind(StrEnum):
    """What is asked for: the two ways through the gateway."""

    CALL = "call"
    """Any device call: Envoy to upstream."""
    AUTH = "auth request"
    """Envoy to the decision service, and that to upstream."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as its client saw it. Times in seconds of one monotonic clock."""

    who: str
    kind: Kind
    began: float
    ended: float
    status: int | None
    """None when there was no whole answer."""
    is_told_when: bool = False
    """Whether the answer said when to come back."""
    error: str = ""
    """Why there was none."""

    @property
    def is_ok(self) -> bool:
        """Whether it did what the device wanted."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's successes

    @property
    def outcome(self) -> str:
        """In a word."""
        return self.error if self.status is None else str(self.status)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as upstream saw it."""

    who: str
    """For whom, as the request id says; empty when it says nothing."""
    method: str
    path: str
    status: int | None
    """None when upstream never answered."""

    @property
    def is_preauthorized(self) -> bool:
        """Whether it announced a device that was not there before."""
        return self.method == "POST" and self.path.endswith("/devauth/devices") and self.status == 201  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Promise:
    """What a scenario holds the gateway to, beside what always holds."""

    unharmed: frozenset[Kind] = frozenset()
    """Calls of these kinds never fail, not even while the fault is there."""
    turns_away: bool = False
    """Whether good devices may hear 401 meanwhile: where the clock says that their certificates are over."""
    forgets: bool = False
    """Whether the store may lack who was let in before the fault ended: where an older copy takes its place."""


@dataclass(frozen=True, slots=True)
class History:
    """All of one scenario."""

    roles: Mapping[str, Role]
    calls: tuple[Call, ...]
    arrivals: tuple[Arrival, ...]
    auth_sets: Mapping[str, tuple[str, ...]]
    """By device of Mender: the statuses of its auth sets."""
    remembered: frozenset[str]
    """Devices that the gateway's store holds as let in, at the end."""
    injected: float
    lifted: float
    recovered: float | None
    """From here on all must be well; None when that never came."""
    faults: tuple[str, ...] = ()
    """What the scenario itself found wrong, such as an exit code."""
    notes: tuple[str, ...] = field(default=())
    """What is worth telling."""

    def of(self, *roles: Role) -> list[Call]:
        """The calls of these."""
        return [call for call in self.calls if self.roles.get(call.who) in roles]

    @property
    def seconds_to_recover(self) -> float:
        """From the end of the fault to the begin of the last call of a good device that failed; 0 when none did."""
        failed = [call.began for call in self.of(Role.GOOD) if not call.is_ok and call.ended >= self.lifted]
        return max(0.0, max(failed, default=self.lifted) - self.lifted)


def violations(history: History, promise: Promise) -> tuple[str, ...]:
    """Every promise that was broken, in words; none means that all were kept."""
    found = (
        *history.faults,
        *_nobody_else_came_through(history),
        *_no_enrolment_lost_or_doubled(history),
        *_none_forgotten(history, promise),
        *_good_devices_are_back(history),
        *_kept_meanwhile(history, promise),
        *_there_was_traffic(history),
    )
    return tuple(dict.fromkeys(found))


def _nobody_else_came_through(history: History) -> Iterator[str]:
    for arrival in history.arrivals:
        role = history.roles.get(arrival.who)
        if role in UNWELCOME:
            yield f"a {role} device reached upstream: {arrival.who} {arrival.method} {arrival.path}"
        elif role is None and arrival.path.startswith("/api/devices/"):
            yield f"a device call of nobody reached upstream: {arrival.method} {arrival.path}"
    for call in history.of(*UNWELCOME):
        if call.is_ok:
            yield f"a {history.roles[call.who]} device was served: {call.who}, {call.kind}"


def _no_enrolment_lost_or_doubled(history: History) -> Iterator[str]:
    admitted = {call.who for call in history.of(Role.NEW) if call.kind is Kind.AUTH and call.is_ok}
    asked = {call.who for call in history.of(Role.NEW)}
    announced = Counter(arrival.who for arrival in history.arrivals if arrival.is_preauthorized)
    if outside := sorted(asked - admitted):
        yield f"enrolments were lost: {len(outside)} new devices never got in, such as {outside[0]}"
    for who in sorted(asked):
        sets = history.auth_sets.get(who, ())
        if who in admitted and "accepted" not in sets:
            yield f"an enrolment was lost: {who} was let in, and Mender has {sets or 'nothing'}"
        if len(sets) > 1:
            yield f"an enrolment was doubled: {who} has {len(sets)} auth sets"
        if announced[who] > 1:
            yield f"an enrolment was doubled: {who} was preauthorized {announced[who]} times"
    for who in sorted(history.auth_sets):
        if history.roles.get(who) not in {Role.GOOD, Role.NEW}:
            yield f"Mender has a device that must not be there: {who}"


def _none_forgotten(history: History, promise: Promise) -> Iterator[str]:
    since = history.lifted if promise.forgets else 0
    calls = [call for call in history.of(Role.NEW, Role.GOOD) if call.kind is Kind.AUTH and call.began >= since]
    if forgotten := sorted({call.who for call in calls if call.is_ok} - history.remembered):
        yield f"let in and not remembered by the store: {len(forgotten)} devices, such as {forgotten[0]}"
    if strange := sorted(who for who in history.remembered if history.roles.get(who) not in {Role.GOOD, Role.NEW}):
        yield f"the store remembers a device that must not be let in: {strange[0]}"


def _good_devices_are_back(history: History) -> Iterator[str]:
    if history.recovered is None:
        failing = Counter(f"{call.kind}: {call.outcome}" for call in history.of(Role.GOOD)[-40:] if not call.is_ok)
        yield f"did not recover by itself (at the end {_told(failing) or 'new devices still waited'})"
        return
    late = [call for call in history.of(Role.GOOD) if call.began >= history.recovered and not call.is_ok]
    if late:
        yield f"failed again after recovery: {_told(Counter(f'{call.kind}: {call.outcome}' for call in late))}"


def _kept_meanwhile(history: History, promise: Promise) -> Iterator[str]:
    calls = history.of(Role.GOOD, Role.NEW)
    harmed = Counter(f"{call.kind}: {call.outcome}" for call in calls if call.kind in promise.unharmed and _hurts(call))
    if harmed:
        yield f"harmed what must go on: {_told(harmed)}"
    if not promise.turns_away and any(call.status == 401 for call in calls):  # noqa: PLR2004 - HTTP's unauthorized
        who = next(call for call in calls if call.status == 401)  # noqa: PLR2004 - see above
        yield f"a device that is welcome was turned away with 401: {who.who}, {who.kind}"
    for call in calls:
        if call.kind is Kind.AUTH and call.status == 503 and not call.is_told_when:  # noqa: PLR2004 - HTTP's "later"
            yield "an auth request was put off without Retry-After"


def _hurts(call: Call) -> bool:
    return not call.is_ok


def _there_was_traffic(history: History) -> Iterator[str]:
    """A history without calls proves nothing."""
    end = history.lifted if history.recovered is None else history.recovered
    for role in Role:
        calls = history.of(role)
        if not any(history.injected <= call.ended and call.began <= end for call in calls):
            yield f"proves nothing: no {role} device called while the fault was there"
    if history.recovered is not None:
        for role in (Role.GOOD, *sorted(UNWELCOME)):
            if not any(call.began >= end for call in history.of(role)):
                yield f"proves nothing: no {role} device called after it"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} x {what}" for what, number in counts.most_common(4))
