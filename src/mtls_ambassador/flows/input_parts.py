"""What the gateway is given that may change by itself: its files, how it is read, and how it stands with it."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.flows.input_files import Stamp, stamp_of
from mtls_ambassador.flows.inputs import Inputs
from mtls_ambassador.flows.remembered_serials import fault_of
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.settings import Settings

STORE = "denylist of the store"
CRL = "CA bundle and CRL"
FILE = "denylist file"


@dataclass(slots=True)
class Part:
    """One input that may change by itself."""

    name: str
    files: tuple[Path, ...]
    read: Callable[[Inputs], Inputs]
    state: InputState
    count: Callable[[Inputs], int | None]
    seen: Stamp = ()
    """Of the last look; files that have it twice are at rest."""
    tried: Stamp = ()
    """Of what was read last, taken or not."""
    again_at: dt.datetime | None = None
    """When what was not taken is tried again, though it has not changed."""

    def stamp(self) -> Stamp:
        """Of all its files."""
        return tuple(map(stamp_of, self.files))

    def has_news(self, now: dt.datetime) -> bool:
        """Whether there is something to be read, at rest or not."""
        return self.stamp() != self.tried or (self.again_at is not None and self.again_at <= now)

    def is_due(self, now: dt.datetime) -> bool:
        """Whether it is to be read now: changed and at rest, or to be tried again."""
        stamp = self.stamp()
        is_at_rest = stamp == self.seen or self.name == STORE  # whose file is swapped whole
        self.seen = stamp
        if stamp == self.tried:
            return self.again_at is not None and self.again_at <= now
        return is_at_rest

    def taken(self, now: dt.datetime) -> None:
        """What is there is in force."""
        self.state, self.again_at = self.state.taken(now), None

    def refused(self, why: str, now: dt.datetime, again_at: dt.datetime | None) -> None:
        """What is there is not in force; tried again at that time, or only when it changes."""
        self.state, self.again_at = self.state.refused(why, now), again_at


def all_parts(settings: Settings, paths: RuntimePaths, machine: Machine, now: Callable[[], dt.datetime]) -> list[Part]:
    """Every input there is with these settings; the store's before the denylist file's: it says who was restored."""

    def part(
        name: str,
        files: tuple[Path | None, ...],
        read: Callable[[Inputs], Inputs],
        count: Callable[[Inputs], int | None] = lambda _: None,
    ) -> Part:
        given = tuple(path for path in files if path is not None)
        return Part(name, given, read, InputState(name, ", ".join(map(str, given)), now()), count)

    pair = settings.server_certificate, settings.server_key
    found = [
        part("server certificate", pair, lambda inputs: inputs.with_server_pair(settings)),
        part(
            CRL if settings.crl else "CA bundle",
            (settings.tenant_ca, settings.crl),
            lambda inputs: inputs.with_authorities(settings, now()),
            lambda inputs: inputs.crls.count if inputs.crls else len(inputs.authorities),
        ),
    ]
    if settings.upstream.is_tls and not settings.upstream_skip_verify:
        files = (settings.upstream_ca or machine.trust_store,)
        found.append(part("Mender server's CA", files, lambda inputs: inputs.with_upstream(settings, machine)))
    found.append(part(STORE, (paths.store_denials,), lambda inputs: inputs.with_store(paths.store_denials)))
    found.append(
        part(
            FILE,
            (settings.blacklist,),
            lambda inputs: inputs.with_blacklist(settings),
            lambda inputs: len(inputs.blacklist),
        )
    )
    return found


def shown(part: Part, inputs: Inputs, settings: Settings, now: dt.datetime) -> InputState:
    """How it stands with it, with what is wrong with what is in force."""
    next_update = inputs.crls.next_update if part.name == CRL and inputs.crls is not None else None
    state = replace(part.state, entries=part.count(inputs), next_update=next_update)
    if state.fault:
        return state
    if part.name == CRL and inputs.crls is not None and inputs.is_crl_stale(now):
        what = (
            "and the grace of MTLS_CRL_GRACE is over: every device is refused"
            if inputs.is_crl_over(settings, now)
            else "what it revokes is refused call by call"
        )
        since = inputs.crls.next_update
        fault = f"the CRL of {inputs.crls.stale} is stale since {since:%Y-%m-%d %H:%M} UTC: {what}"
        return replace(state, fault=fault, fault_since=since)
    if part.name == FILE and (fault := fault_of(inputs.gone, settings.blacklist)):
        return replace(state, fault=fault, fault_since=state.loaded_at)
    if part.name == STORE and inputs.store.fault:
        return replace(state, fault=inputs.store.fault, fault_since=state.loaded_at)
    return state
