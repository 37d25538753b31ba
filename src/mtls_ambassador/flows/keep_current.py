"""Files that change are noticed, checked and put in force while devices are served; a bad one changes nothing.

Each input is read anew when its files have changed and are at rest. What is in force, since when, and what is wrong
with what is there now, stands in a file of the runtime folder for health, metrics and `status`.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.publish import Publisher, write_private
from mtls_ambassador.flows.compile_denylist import swap
from mtls_ambassador.flows.input_files import Stamp, stamp_of
from mtls_ambassador.flows.inputs import Inputs, KnownCrls
from mtls_ambassador.flows.remembered_serials import fault_of, load_remembered, remember
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.settings import Settings

POLL = 0.1
"""Seconds between two looks at the files; one that has not changed for that long is at rest."""
RETRY = dt.timedelta(seconds=2)
CRL = "CRL"
FILE = "denylist file"
STORE = "denylist of the store"


@dataclass(slots=True)
class Part:
    """One input that may change by itself."""

    name: str
    files: tuple[Path, ...]
    read: Callable[[Inputs], Inputs]
    state: InputState
    count: Callable[[Inputs], int | None] = lambda _: None
    seen: Stamp = ()
    tried: Stamp = ()

    def stamp(self) -> Stamp:
        """Of all its files."""
        return tuple(map(stamp_of, self.files))


class KeepCurrent:
    """What is in force, and what may change in it."""

    def __init__(
        self,
        settings: Settings,
        paths: RuntimePaths,
        machine: Machine,
        now: Callable[[], dt.datetime],
        *,
        remembers: bool = True,
    ) -> None:
        """With `remembers` off nothing is written but to the runtime folder."""
        self._remembers = remembers
        self._settings, self._paths, self._now = settings, paths, now
        self._publisher = Publisher(settings, paths, machine)
        self._inputs = Inputs(gone=load_remembered(settings.state_dir))
        self._remembered = self._inputs.gone
        self._crls = KnownCrls()
        self._crl_phase = (False, False)
        self._phase_tried = now() - 2 * RETRY
        self._parts = self._all_parts(machine)

    def begin(self) -> None:
        """Read and publish everything. Fails closed: raises AmbassadorError with the first thing that is not good."""
        inputs = self._inputs
        for part in self._parts:
            part.seen = part.tried = part.stamp()
            inputs = part.read(inputs)
        self._publish(inputs)
        self._publisher.begin()
        self._write_states()

    async def keep(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(POLL)
            if self._has_news():
                await asyncio.to_thread(self.look)

    def _has_news(self) -> bool:
        return self._is_phase_over() or any(part.stamp() != part.tried for part in self._parts)

    def _is_phase_over(self) -> bool:
        """Whether a CRL has become stale; when that could not be put in force, it is tried again soon."""
        return self._phase() != self._crl_phase and self._now() - self._phase_tried > RETRY

    def look(self) -> None:
        """Take what has changed and is at rest."""
        for part in self._parts:
            stamp = part.stamp()
            if stamp == part.tried:
                continue
            if stamp != part.seen and part.name != STORE:  # whose file is swapped whole
                part.seen = stamp
                continue
            part.tried = stamp
            self._take(part)
        if self._is_phase_over():
            self._follow_time()
        self._write_states()

    def _take(self, part: Part) -> None:
        log = structlog.get_logger()
        try:
            self._publish(part.read(self._inputs))
        except (AmbassadorError, OSError) as error:
            self._refuse(part, str(error))
        except Exception as error:
            # Whatever a file may do to a parser, it must not take the gateway down.
            log.exception("unexpected", what=part.name)
            self._refuse(part, f"{type(error).__name__} while it was read")
        else:
            part.state = replace(part.state, loaded_at=self._now(), fault="", fault_since=None)
            log.info("taken", what=part.name, entries=part.count(self._inputs))
            if fault := self._state(part).fault:
                log.error("taken, but", what=part.name, reason=fault)

    def _refuse(self, part: Part, why: str) -> None:
        part.state = replace(part.state, fault=why, fault_since=part.state.fault_since or self._now())
        structlog.get_logger().error("not taken, the old one stays in force", what=part.name, reason=why)

    def _follow_time(self) -> None:
        """The time of a CRL, or its grace, is over: what is in force says so from now on."""
        try:
            self._publish(self._inputs)
        except (AmbassadorError, OSError) as error:
            self._phase_tried = self._now()
            structlog.get_logger().error("the end of a CRL is not in force yet", reason=str(error))

    def _publish(self, inputs: Inputs) -> None:
        phase = self._phase(inputs)
        material = inputs.together(self._settings, self._paths, self._now(), self._crls)
        try:
            self._publisher.publish(material)
        except AmbassadorError:
            material.denylist.path.unlink()
            raise
        swap(self._paths, material.denylist.path)
        is_to_close = self._shall_close(inputs)
        self._inputs, self._crl_phase = inputs, phase
        self._remember(inputs.blacklist)
        if is_to_close:
            self._publisher.close_connections()
            structlog.get_logger().info("open connections are closed", within=self._settings.limits.drain_time)

    def _shall_close(self, inputs: Inputs) -> bool:
        """Whether an operator has asked for it, or somebody more is denied and the setting says so."""
        if self._inputs.store.version < 0:  # at the start nothing is open
            return False
        if inputs.store.closings > self._inputs.store.closings:
            return True
        settings, now = self._settings, self._now()
        return settings.close_on_denial and inputs.denied(settings, now).exceeds(self._inputs.denied(settings, now))

    def _remember(self, serials: frozenset[bytes]) -> None:
        if not self._remembers or serials == self._remembered:
            return
        try:
            remember(self._settings.state_dir, serials)
        except AmbassadorError as error:
            structlog.get_logger().error("in force, but not remembered over a restart", reason=str(error))
        else:
            self._remembered = serials

    def _phase(self, inputs: Inputs | None = None) -> tuple[bool, bool]:
        inputs, now = inputs or self._inputs, self._now()
        return inputs.is_crl_stale(now), inputs.is_crl_over(self._settings, now)

    def _all_parts(self, machine: Machine) -> list[Part]:
        settings, paths = self._settings, self._paths
        pair = settings.server_certificate, settings.server_key
        found = [
            self._part("server certificate", pair, lambda inputs: inputs.with_server_pair(settings)),
            self._part(
                "CA bundle", (settings.tenant_ca,), lambda inputs: inputs.with_authorities(settings, self._now())
            ),
        ]
        found[1].count = lambda inputs: len(inputs.authorities)
        if settings.upstream.is_tls and not settings.upstream_skip_verify:
            files = (settings.upstream_ca or machine.trust_store,)
            found.append(
                self._part("Mender server's CA", files, lambda inputs: inputs.with_upstream(settings, machine))
            )
        if settings.crl is not None:
            found.append(self._part(CRL, (settings.crl,), lambda inputs: inputs.with_crls(settings, self._now())))
            found[-1].count = lambda inputs: inputs.crls.count if inputs.crls else None
        if settings.blacklist is not None or self._remembered:
            listed = (settings.blacklist,) if settings.blacklist else ()
            found.append(self._part(FILE, listed, lambda inputs: inputs.with_blacklist(settings)))
            found[-1].count = lambda inputs: len(inputs.blacklist)
        store = paths.store_denials
        found.append(self._part(STORE, (store,), lambda inputs: inputs.with_store(store)))
        return found

    def _part(self, name: str, files: tuple[Path, ...], read: Callable[[Inputs], Inputs]) -> Part:
        return Part(name, files, read, InputState(name, ", ".join(map(str, files)), self._now()))

    def _write_states(self) -> None:
        states = [asdict(self._state(part)) for part in self._parts]
        staged = self._paths.inputs.with_name("inputs.new")
        write_private(staged, json.dumps(states, default=dt.datetime.isoformat))
        staged.replace(self._paths.inputs)

    def _state(self, part: Part) -> InputState:
        state = replace(part.state, entries=part.count(self._inputs))
        if part.name == FILE and not state.fault and (fault := fault_of(self._inputs.gone, self._settings.blacklist)):
            return replace(state, fault=fault, fault_since=state.loaded_at)
        if part.name == STORE and not state.fault and self._inputs.store.fault:
            return replace(state, fault=self._inputs.store.fault)
        if part.name == CRL and not state.fault and self._inputs.crls is not None and self._crl_phase[0]:
            crls = self._inputs.crls
            what = (
                "and the grace of MTLS_CRL_GRACE is over: every device is refused"
                if self._crl_phase[1]
                else "what it revokes is refused call by call"
            )
            since = crls.next_update
            return replace(
                state,
                fault=f"the CRL of {crls.stale} is stale since {since:%Y-%m-%d %H:%M} UTC: {what}",
                fault_since=since,
            )
        return state
