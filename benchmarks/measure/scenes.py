"""What happens to a gateway at its limits, scene by scene: what was measured, and which promise was broken."""

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measure import crowd
from measure.crowd import Crowd, Done, Flag, Held, Worker, raise_files
from measure.gateway import PASSWORD, USER, Files, Gateway, gateway
from measure.processes import Workshop, cpu_seconds, pss_megabytes
from mtls_ambassador.sandbox.artifact import read_artifact
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from mtls_ambassador.sandbox.links import LIFETIME, sign_path
from mtls_ambassador.sandbox.real_artifact import make_file_artifact
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.sandbox.updates_api import DOWNLOAD

LOGIN = "/api/management/v1/useradm/auth/login"
PREAUTHORIZE = "POST /api/management/v2/devauth/devices"
AT_ONCE = 100
"""Connections upstream that the gateway is told to keep to: MTLS_UPSTREAM_MAX_CONNECTIONS, and decisions as many."""
MEGABYTES = 100
DOWNLOADERS = 2
DAY_DEVICES, DAY_POLLS, DAY_PARTS = 300, 48, 4
"""A poll each half hour (Mender's default); inventories as often, which is more than real ones."""
SLOW = 0.05
"""Seconds that Mender takes for an answer in the storm."""
TOKEN_SECONDS = 2
"""How long tokens live in the day that lasts minutes: each expires many times."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What all scenes have."""

    workshop: Workshop
    files: Files
    devices: int
    hold: float
    """Seconds that WebSockets are held."""


@dataclass(slots=True)
class Outcome:
    """Of one scene."""

    measured: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def promise(self, is_kept: bool, text: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
        """Note a promise that was not kept."""
        if not is_kept:
            self.broken.append(text)


@dataclass(frozen=True, slots=True)
class Play:
    """A gateway before a sandbox, and the process of the devices."""

    sandbox: SandboxServer
    running: Gateway
    worker: Worker
    log: Path
    state: Path

    def crowd(self, stage: Stage, name: str, devices: int) -> Crowd:
        """So many devices of this name."""
        return crowd_of(stage, self.running, name, devices)

    async def fleet(self, of: Crowd, actions: tuple[str, ...], *, at_once: int, rounds: int = 1) -> Done:
        """Have them do it."""
        done: Done = await self.worker.run(crowd.fleet, of, actions, at_once, rounds, "go")
        return done

    def memory(self) -> dict[str, float]:
        """PSS in MB by part."""
        return {name: pss_megabytes(pid) for name, pid in self.running.parts().items()}

    def cpu(self) -> float:
        """Seconds of all parts."""
        return sum(cpu_seconds(pid) for pid in self.running.parts().values())


def crowd_of(stage: Stage, running: Gateway, name: str, devices: int) -> Crowd:
    """So many devices of this name, which call this gateway."""
    ca = stage.files.ca
    return Crowd(running.url, ca.certificate_pem, ca.key_pem, name, devices)


@asynccontextmanager
async def playing(stage: Stage, name: str, more: Mapping[str, str], **sandbox: float) -> AsyncIterator[Play]:
    """Start everything, end everything."""
    config = SandboxConfig(user=USER, password=PASSWORD, **sandbox)  # type: ignore[arg-type]  # fields by name
    state = stage.workshop.folder / f"state-{name}"
    async with (
        SandboxServer.running(config) as server,
        gateway(stage.workshop, stage.files, server.url, state, more) as running,
    ):
        port = running.url.rpartition(":")[2]
        with crowd.worker() as worker:
            yield Play(server, running, worker, stage.workshop.folder / f"run-{port}" / "log", state)


def _accepted(play: Play, outcome: Outcome, devices: int) -> None:
    """Every device is in, and none is there twice."""
    found = play.sandbox.state.devauth.devices(["accepted"])
    outcome.promise(len(found) == devices, f"{len(found)} devices are accepted, not {devices}")
    sets = sum(len(device.auth_sets) for device in found)
    outcome.promise(sets == len(found), f"{sets} auth sets of {len(found)} devices")
    everybody = play.sandbox.state.devauth.devices(["accepted", "pending", "rejected", "preauthorized"])
    outcome.promise(len(everybody) == len(found), f"{len(everybody)} devices are known, {len(found)} accepted")


def _told(outcome: Outcome, done: Done, devices: int) -> None:
    outcome.promise(done.through == devices and not done.stopped, f"{done.through} came through {done.stopped}")
    for name, step in done.steps.items():
        tried = sum(step["errors"].values())
        outcome.measured[f"{name}: p50, p99, longest, tried again"] = (
            f"{step['p50_ms']:.0f} ms, {step['p99_ms']:.0f} ms, {step['max_ms']:.0f} ms, {tried}"
        )
        for reason, count in step["errors"].items():
            outcome.measured[f"{name}: {reason[:48]}"] = f"{count} times"


async def storm(stage: Stage) -> Outcome:
    """All devices of a fleet come back in the same moment, as after a power cut."""
    outcome = Outcome()
    limits = {"MTLS_UPSTREAM_MAX_CONNECTIONS": str(AT_ONCE), "MTLS_ENROL_CONCURRENCY": str(AT_ONCE)}
    async with playing(stage, "storm", limits) as play:
        fleet = play.crowd(stage, "storm", stage.devices)
        await play.worker.run(crowd.prepare, fleet)
        await play.fleet(fleet, ("enrol",), at_once=200)
        play.sandbox.faults.latency(SLOW)
        play.sandbox.journal.most_at_once = 0
        counts = play.sandbox.journal.counts
        made, logins, cpu = counts[PREAUTHORIZE], counts[f"POST {LOGIN}"], play.cpu()
        done = await play.fleet(fleet, ("enrol", "inventory"), at_once=stage.devices)
        outcome.measured["all in after"] = f"{done.seconds:.0f} s"
        outcome.measured["gateway's CPU a device, both calls"] = f"{(play.cpu() - cpu) / stage.devices * 1e3:.2f} ms"
        _told(outcome, done, stage.devices)
        _accepted(play, outcome, stage.devices)
        most = play.sandbox.journal.most_at_once
        outcome.measured["requests at Mender at once, at most"] = f"{most} of {2 * AT_ONCE}"
        outcome.promise(most <= 2 * AT_ONCE, f"{most} requests at once at Mender, more than {2 * AT_ONCE}")
        again = counts[f"POST {LOGIN}"] - logins
        outcome.promise(counts[PREAUTHORIZE] == made, "devices that are known were announced to Mender once more")
        outcome.promise(again == 0, f"{again} more logins")
    return outcome


async def sockets(stage: Stage) -> Outcome:
    """Every device holds mender-connect's WebSocket, idle but for the server's pings.

    A gateway needs two open files for each; where too few may be open, two gateways share the devices.
    """
    outcome = Outcome()
    count = 1 if raise_files() >= 3 * stage.devices else 2
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(SandboxServer.running(SandboxConfig(user=USER, password=PASSWORD)))
        groups = [
            await stack.enter_async_context(_group(stage, sandbox, number, stage.devices // count))
            for number in range(count)
        ]
        before = _memory(groups)
        async with asyncio.TaskGroup() as tasks:
            holding = [tasks.create_task(group.hold()) for group in groups]
            for group in groups:
                await group.opened.seen()
            cpu, began = _cpu(groups), time.monotonic()
            await asyncio.sleep(stage.hold)
            used = (_cpu(groups) - cpu) / (time.monotonic() - began)
            after, alive = _memory(groups), len(sandbox.connections.connected)
            for group in groups:
                group.let_go.put_up()
        held: list[Held] = [task.result() for task in holding]
        devices = stage.devices // count * count
        opened = sum(item.opened for item in held)
        outcome.measured["gateways"] = str(count)
        outcome.measured["opened"] = f"{opened} in {max(item.seconds for item in held):.0f} s"
        outcome.measured[f"still open after {stage.hold:.0f} s"] = str(alive)
        each = {name: (after[name] - before[name]) * 1000 / devices for name in after}
        outcome.measured["memory a WebSocket"] = ", ".join(f"{name} {size:.1f} kB" for name, size in each.items())
        outcome.measured["gateways' CPU meanwhile"] = f"{used * 100:.1f} % of a core"
        faults = [item.faults for item in held]
        outcome.promise(opened == alive == devices, f"{alive} of {devices} are open: {faults}")
    return outcome


@dataclass(frozen=True, slots=True)
class _Group:
    """Devices of one gateway that hold WebSockets."""

    running: Gateway
    worker: Worker
    fleet: Crowd
    opened: Flag
    let_go: Flag

    async def hold(self) -> Held:
        found: Held = await self.worker.run(crowd.hold, self.fleet, self.opened, self.let_go)
        return found


@asynccontextmanager
async def _group(stage: Stage, sandbox: SandboxServer, number: int, devices: int) -> AsyncIterator[_Group]:
    folder = stage.workshop.folder
    flags = [Flag(folder / f"sockets-{number}-{name}") for name in ("open", "end")]
    async with gateway(stage.workshop, stage.files, sandbox.url, folder / f"state-sockets-{number}") as running:
        with crowd.worker() as worker:
            fleet = crowd_of(stage, running, f"sockets-{number}", devices)
            await worker.run(crowd.prepare, fleet)
            yield _Group(running, worker, fleet, *flags)


def _memory(groups: Sequence[_Group]) -> Counter[str]:
    """PSS in MB by part, of all."""
    found = Counter[str]()
    for group in groups:
        for name, pid in group.running.parts().items():
            found[name] += pss_megabytes(pid)  # type: ignore[assignment]  # sums of any number
    return found


def _cpu(groups: Sequence[_Group]) -> float:
    return sum(cpu_seconds(pid) for group in groups for pid in group.running.parts().values())


async def rush(stage: Stage) -> Outcome:
    """New devices enrol while 100 MB downloads run through the same gateway."""
    outcome = Outcome()
    let_go = Flag(stage.workshop.folder / "rush-end")
    async with playing(stage, "rush", {}) as play:
        fleet, loaders = play.crowd(stage, "rush", stage.devices), play.crowd(stage, "load", DOWNLOADERS)
        await play.worker.run(crowd.prepare, fleet)
        uri = _offer(play, stage)
        with crowd.worker() as first, crowd.worker() as second:
            began = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                loading = [
                    tasks.create_task(worker.run(crowd.download, loaders, number, uri, let_go))
                    for number, worker in ((1, first), (2, second))
                ]
                done = await play.fleet(fleet, ("enrol",), at_once=100)
                let_go.put_up()
            seconds = time.monotonic() - began
            size = sum(task.result() for task in loading) / 1e6
        outcome.measured["all in after"] = f"{done.seconds:.0f} s, {stage.devices / done.seconds:.0f} a second"
        outcome.measured["downloads meanwhile"] = f"{size / MEGABYTES:.0f} of {MEGABYTES} MB, {size / seconds:.0f} MB/s"
        _told(outcome, done, stage.devices)
        _accepted(play, outcome, stage.devices + DOWNLOADERS)
        outcome.promise(size > 0, "no download came whole")
        asked = play.sandbox.journal.counts[f"POST {AUTH_REQUESTS}"]
        outcome.measured["auth requests at Mender"] = str(asked)
    return outcome


def _offer(play: Play, stage: Stage) -> str:
    """A file on the sandbox; the link to it, as a device gets one."""
    path = stage.workshop.folder / "big.mender"
    path.write_bytes(make_file_artifact("big", "simulated", os.urandom(MEGABYTES * 1_000_000), Path("/data/big")))
    artifact = play.sandbox.state.deployments.add_artifact(read_artifact(path), path, path.stat().st_size)
    expires = int(time.time()) + LIFETIME
    return sign_path(play.sandbox.state.secret, f"{DOWNLOAD}/{artifact.id}", expires)


async def day(stage: Stage) -> Outcome:
    """A day of a fleet in minutes: as many polls, tokens that expire, logs that are cut, a store that grows."""
    outcome = Outcome()
    lifetimes = {"login_lifetime": TOKEN_SECONDS, "device_token_lifetime": TOKEN_SECONDS}
    async with playing(stage, "day", {}, **lifetimes) as play:
        fleet = play.crowd(stage, "day", min(DAY_DEVICES, stage.devices))
        await play.worker.run(crowd.prepare, fleet)
        began, written, memory, cpu = time.monotonic(), 0, {}, play.cpu()
        calls = play.sandbox.journal.total
        for part in range(DAY_PARTS):
            actions = ("enrol", "poll", "inventory")
            done = await play.fleet(fleet, actions, at_once=fleet.devices, rounds=DAY_POLLS // DAY_PARTS)
            outcome.promise(done.through == fleet.devices, f"part {part + 1}: {done.through} came through")
            written += play.log.stat().st_size
            os.truncate(play.log, 0)  # as logrotate does with copytruncate
            memory[part] = play.memory()
        calls = play.sandbox.journal.total - calls
        _accepted(play, outcome, fleet.devices)
        asked = play.sandbox.journal.counts[f"POST {AUTH_REQUESTS}"]
        logins = play.sandbox.journal.counts[f"POST {LOGIN}"]
        rest = (play.cpu() - cpu) / calls * 1e6
        outcome.measured["a day of"] = f"{fleet.devices} devices in {time.monotonic() - began:.0f} s"
        outcome.measured["calls, auth requests, logins"] = f"{calls}, {asked}, {logins}"
        outcome.measured["gateway's CPU a call, auth requests among them"] = f"{rest:.0f} µs"
        outcome.measured["log"] = f"{written / 1000:.0f} kB, {written / asked:.0f} bytes an auth request"
        outcome.measured["store"] = f"{_size(play.state) / 1000:.0f} kB"
        for name in memory[0]:
            sizes = [f"{memory[part][name]:.0f}" for part in range(DAY_PARTS)]
            outcome.measured[f"memory of {name} after each quarter"] = ", ".join(sizes) + " MB"
        refused = re.findall(r'"reason": ?"([^"]+)"', play.log.read_text())
        outcome.promise(not refused, f"refused: {set(refused)}")
        outcome.promise(asked > (DAY_PARTS + 1) * fleet.devices, "hardly a token expired")
    return outcome


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
