"""Files that change are noticed, checked and put in force while devices are served; a bad one changes nothing.

Each input is read anew when its files have changed and are at rest. What is in force, since when, and what is wrong
with what is there now, stands in a file of the runtime folder for health, metrics and `status`.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import asdict, replace

import structlog

from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.publish import Publisher, replace_private
from mtls_ambassador.flows.compile_denylist import swap
from mtls_ambassador.flows.input_parts import FILE, Part, all_parts, shown
from mtls_ambassador.flows.inputs import Inputs, KnownCrls, NotYetError
from mtls_ambassador.flows.remembered_serials import Remembered, load_remembered, remember
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Settings

POLL = 0.1
"""Seconds between two looks at the files; one that has not changed for that long is at rest."""
RETRY = dt.timedelta(seconds=2)
"""After which what failed for another reason than its own content is tried again."""


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
        self._remembered = load_remembered(settings.state_dir)
        self._inputs = Inputs(remembered=self._remembered)
        self._crls = KnownCrls()
        self._phase = (False, False)
        self._phase_tried = now() - 2 * RETRY
        parts = all_parts(settings, paths, machine, now)
        self._parts = [part for part in parts if part.files or (part.name == FILE and self._remembered.serials)]

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
            now = self._now()
            if self._is_phase_over() or any(part.has_news(now) for part in self._parts):
                await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Take what has changed and is at rest."""
        for part in self._parts:
            if part.is_due(self._now()):
                part.tried = part.seen
                self._take(part)
        if self._is_phase_over():
            self._follow_time()
        try:
            self._write_states()
        except OSError as error:
            structlog.get_logger().error("how the inputs stand cannot be written", reason=str(error))

    def _take(self, part: Part) -> None:
        log = structlog.get_logger()
        try:
            inputs = part.read(self._inputs)
        except (AmbassadorError, OSError, MemoryError) as error:
            self._refuse(part, _words(error), retry=_passes(error))
        except Exception as error:
            # Whatever a file may do to a parser, it must not take the gateway down.
            log.exception("unexpected", what=part.name)
            self._refuse(part, f"{type(error).__name__} while it was read")
        else:
            self._put_in_force(part, inputs)

    def _put_in_force(self, part: Part, inputs: Inputs) -> None:
        log = structlog.get_logger()
        try:
            self._publish(inputs)
        except (AmbassadorError, OSError, ValueError, MemoryError) as error:
            self._refuse(part, _words(error), retry=True)
            return
        part.taken(self._now())
        state = shown(part, self._inputs, self._settings, self._now())
        log.info("taken", what=part.name, entries=state.entries)
        if state.fault:
            log.error("taken, but", what=part.name, reason=state.fault)

    def _refuse(self, part: Part, why: str, *, retry: bool = False) -> None:
        is_new = part.state.fault != why
        part.refused(why, self._now(), self._now() + RETRY if retry else None)
        if is_new:
            structlog.get_logger().error("not taken, the old one stays in force", what=part.name, reason=why)

    def _is_phase_over(self) -> bool:
        """Whether a CRL has become stale; when that could not be put in force, it is tried again soon."""
        return self._phase_of(self._inputs) != self._phase and self._now() - self._phase_tried > RETRY

    def _phase_of(self, inputs: Inputs) -> tuple[bool, bool]:
        now = self._now()
        return inputs.is_crl_stale(now), inputs.is_crl_over(self._settings, now)

    def _follow_time(self) -> None:
        """The time of a CRL, or its grace, is over: what is in force says so from now on."""
        try:
            self._publish(self._inputs)
        except (AmbassadorError, OSError) as error:
            self._phase_tried = self._now()
            structlog.get_logger().error("the end of a CRL is not in force yet", reason=str(error))

    def _publish(self, inputs: Inputs) -> None:
        phase = self._phase_of(inputs)
        material = inputs.together(self._settings, self._paths, self._now(), self._crls)
        try:
            self._publisher.publish(material)
        except BaseException:
            material.denylist.path.unlink()
            raise
        swap(self._paths, material.denylist.path)
        self._crls.published(material.crls, self._paths)
        is_to_close = self._shall_close(inputs)
        remembered = replace(inputs.remembered, serials=inputs.blacklist)
        self._inputs, self._phase = replace(inputs, remembered=remembered), phase
        self._remember(remembered)
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

    def _remember(self, remembered: Remembered) -> None:
        if not self._remembers or remembered == self._remembered:
            return
        try:
            remember(self._settings.state_dir, self._remembered, remembered)
        except AmbassadorError as error:
            structlog.get_logger().error("in force, but not remembered over a restart", reason=str(error))
        else:
            self._remembered = remembered

    def _write_states(self) -> None:
        states = [asdict(shown(part, self._inputs, self._settings, self._now())) for part in self._parts]
        replace_private(self._paths.inputs, json.dumps(states, default=dt.datetime.isoformat))


def _passes(error: BaseException) -> bool:
    """Whether it may go without the file being changed: no file to open, no memory, a disk that fails, a clock."""
    return isinstance(error, NotYetError | OSError | MemoryError) or isinstance(error.__cause__, OSError)


def _words(error: BaseException) -> str:
    return "there is no memory to read it" if isinstance(error, MemoryError) else str(error)
