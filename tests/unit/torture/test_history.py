"""A history in which a promise was broken is found out; one in which all were kept is not accused."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from torture.history import Arrival, Call, History, Kind, Promise, Role, violations

AUTH = "/api/devices/v1/authentication/auth_requests"
INVENTORY = "/api/devices/v1/inventory/device/attributes"
DEVICES = "/api/management/v2/devauth/devices"
SETS = {"good": ("accepted",), "new": ("accepted",)}
ROLES = {"good": Role.GOOD, "new": Role.NEW, "denied": Role.DENIED, "stranger": Role.STRANGER}


def call(who: str, at: float, status: int | None = 200, kind: Kind = Kind.CALL) -> Call:
    return Call(who, kind, at, at + 0.1, status, error="" if status else "connection lost")


def good_history() -> History:
    """A fault from 10 to 20; a good device and a new one that were put off meanwhile; all well from 22 on."""
    calls = (
        call("good", 9),
        call("good", 12, 503),
        call("good", 21, 503),
        call("good", 23),
        replace(call("new", 13, 503, Kind.AUTH), is_told_when=True),
        call("new", 21, 200, Kind.AUTH),
        *(call("denied", at, 401) for at in (9, 15, 23)),
        *(call("stranger", at, None) for at in (9, 15, 23)),
    )
    arrivals = (
        Arrival("good", "PUT", INVENTORY, 200),
        Arrival("new", "POST", DEVICES, 201),
        Arrival("new", "POST", AUTH, 200),
        Arrival("", "POST", "/api/management/v1/useradm/auth/login", 200),
    )
    return History(ROLES, calls, arrivals, SETS, frozenset(SETS), 10, 20, 22)


def test_a_good_history_is_good() -> None:
    history = good_history()
    assert violations(history, Promise()) == ()
    assert history.seconds_to_recover == 1


def adds(*calls: Call) -> Callable[[History], History]:
    return lambda history: replace(history, calls=(*history.calls, *calls))


def arrives(*arrivals: Arrival) -> Callable[[History], History]:
    return lambda history: replace(history, arrivals=(*history.arrivals, *arrivals))


def has(**sets: tuple[str, ...]) -> Callable[[History], History]:
    return lambda history: replace(history, auth_sets={**history.auth_sets, **sets})


def without(who: str, kind: Kind | None = None) -> Callable[[History], History]:
    return lambda history: replace(
        history, calls=tuple(each for each in history.calls if each.who != who or kind not in {None, each.kind})
    )


BROKEN: dict[str, tuple[Callable[[History], History], str]] = {
    "a denied device's call upstream": (
        arrives(Arrival("denied", "PUT", INVENTORY, 401)),
        "a denied device reached upstream: denied PUT",
    ),
    "a call made for a denied device": (
        arrives(Arrival("denied", "GET", f"{DEVICES}/1", 200)),
        "a denied device reached upstream: denied GET",
    ),
    "a stranger's call upstream": (arrives(Arrival("stranger", "PUT", INVENTORY, None)), "a stranger device reached"),
    "a call of nobody upstream": (arrives(Arrival("", "PUT", INVENTORY, 200)), "a device call of nobody"),
    "a denied device that is served": (adds(call("denied", 12)), "a denied device was served"),
    "a stranger that is served": (adds(call("stranger", 23, 204)), "a stranger device was served"),
    "a new device that never got in": (
        lambda history: replace(
            history, calls=tuple(each for each in history.calls if (each.who, each.status) != ("new", 200))
        ),
        "enrolments were lost: 1 new devices never got in, such as new",
    ),
    "a yes that Mender knows nothing of": (has(new=()), "new was let in, and Mender has nothing"),
    "a yes to a device that Mender rejected": (has(new=("rejected",)), "new was let in, and Mender has ('rejected',)"),
    "two auth sets": (has(new=("accepted", "pending")), "new has 2 auth sets"),
    "two preauthorizations": (arrives(Arrival("new", "POST", DEVICES, 201)), "new was preauthorized 2 times"),
    "a device in Mender that is denied": (has(denied=("pending",)), "Mender has a device that must not be there"),
    "a device in Mender that nobody knows": (has(ghost=("accepted",)), "must not be there: ghost"),
    "a device that the store forgot": (
        lambda history: replace(history, remembered=frozenset({"good"})),
        "not remembered by the store: 1 devices, such as new",
    ),
    "a denied device in the store": (
        lambda history: replace(history, remembered=history.remembered | {"denied"}),
        "the store remembers a device that must not be let in: denied",
    ),
    "no recovery": (lambda history: replace(history, recovered=None), "did not recover by itself"),
    "a call that fails after recovery": (
        adds(call("good", 24, None)),
        "failed again after recovery: 1 x call: connection lost",
    ),
    "a welcome device that hears 401": (adds(call("good", 12, 401)), "turned away with 401: good, call"),
    "an auth request put off for who knows how long": (
        adds(call("new", 12, 503, Kind.AUTH)),
        "put off without Retry-After",
    ),
    "no good device while the fault was there": (
        lambda history: replace(history, injected=21.5, lifted=21.6, recovered=21.7),
        "no good device called while",
    ),
    "no denied device at all": (without("denied"), "no denied device called"),
    "no stranger at all": (without("stranger"), "no stranger device called"),
    "no new device at all": (without("new"), "no new device called"),
    "what the scenario found": (lambda history: replace(history, faults=("exit code 1",)), "exit code 1"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_found(case: str) -> None:
    breaks, words = BROKEN[case]
    found = violations(breaks(good_history()), Promise())
    assert any(words in each for each in found), found


def test_what_must_go_on_may_not_fail_even_once() -> None:
    history = good_history()
    assert violations(history, Promise(frozenset({Kind.CALL}))) == ("harmed what must go on: 2 x call: 503",)
    assert violations(history, Promise(frozenset({Kind.AUTH}))) == ("harmed what must go on: 1 x auth request: 503",)


def test_a_wrong_clock_may_turn_away() -> None:
    history = adds(call("good", 12, 401))(good_history())
    assert violations(history, Promise(turns_away=True)) == ()


def test_an_older_copy_of_the_store_may_have_forgotten_what_was_before_it() -> None:
    history = replace(good_history(), remembered=frozenset({"good"}))
    before = replace(
        history, calls=tuple(replace(each, began=each.began - 9) for each in history.calls if each.who == "new")
    )
    assert "not remembered" in "".join(violations(history, Promise(forgets=True)))
    assert "not remembered" not in "".join(violations(before, Promise(forgets=True)))
