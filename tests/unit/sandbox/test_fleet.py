"""A fleet before the sandbox: every step, failures by reason, retries, bounds."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.model.identity import Identity
from mtls_ambassador.pki.issue import KeyKind, Pair, Validity, make_ca, public_key_pem
from mtls_ambassador.sandbox.artifact import ArtifactInfo
from mtls_ambassador.sandbox.device import DeviceConfig
from mtls_ambassador.sandbox.fleet import (
    Action,
    FleetConfig,
    FleetError,
    FleetReport,
    identity_of,
    issue_each,
    new_report,
    run_fleet,
)
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer

NOW = dt.datetime.now(dt.UTC)
CA = make_ca("CA", Validity.days(NOW, 1))
ISSUE = issue_each(CA, KeyKind.P256, NOW)
AUTH = "/api/devices/v1/authentication/auth_requests"


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    async with SandboxServer.running(SandboxConfig()) as server:
        yield server


def fleet(sandbox: SandboxServer, devices: int) -> FleetConfig:
    """Devices that are preauthorized as their certificates are made, as a gateway would do."""

    def pair_of(name: str) -> Pair:
        pair = ISSUE(name)
        identity = Identity.parse(json.dumps(identity_of(name)))
        sandbox.state.devauth.preauthorize(identity, public_key_pem(pair.key))
        return pair

    return FleetConfig(devices, DeviceConfig(sandbox.url, {}), pair_of, concurrency=5)


async def run(config: FleetConfig) -> FleetReport:
    report = new_report(config)
    await run_fleet(config, report)
    return report


async def test_every_device_does_every_step(sandbox: SandboxServer) -> None:
    config = replace(fleet(sandbox, 12), actions=tuple(Action), rounds=2)
    report = await run(config)
    assert report.complete
    assert {name: step.ok for name, step in report.steps.items()} == {
        "enrol": 12,
        "inventory": 24,
        "poll": 24,
        "update": 24,
        "websocket": 24,
    }
    assert len({device.identity.canonical for device in sandbox.state.devauth.devices()}) == 12


async def test_an_update_that_is_offered_is_installed(sandbox: SandboxServer, tmp_path: Path) -> None:
    config = replace(fleet(sandbox, 1), actions=(Action.ENROL, Action.UPDATE), name="line7")
    artifact = tmp_path / "a.mender"
    artifact.write_bytes(b"artifact")
    sandbox.state.deployments.add_artifact(ArtifactInfo("release-2", ("simulated",), (), ("x",)), artifact, 8)
    pair = config.pair_of("line7-1")
    (device,) = sandbox.state.devauth.devices()
    deployment = sandbox.state.deployments.create("update", "release-2", [device.id])
    report = await run(replace(config, pair_of=lambda _name: pair))
    assert report.complete
    assert deployment.statistics["success"] == 1


async def test_a_refused_device_is_counted_with_its_reason_and_not_tried_again(sandbox: SandboxServer) -> None:
    config = replace(fleet(sandbox, 4), pair_of=ISSUE)
    report = await run(config)
    assert (report.through, report.failed) == (0, 4)
    assert report.steps["enrol"].reasons == {"HTTP 401 dev auth: unauthorized": 4}
    assert len(sandbox.journal.find(AUTH)) == 4


async def test_a_busy_server_is_asked_again_when_it_says(sandbox: SandboxServer) -> None:
    sandbox.faults.error(503, AUTH, retry_after="0", count=2)
    report = await run(fleet(sandbox, 4))
    assert report.complete
    assert report.steps["enrol"].reasons == {"HTTP 503 service unavailable": 2}
    assert report.failed == 0


async def test_nobody_listening_ends_the_run_at_once() -> None:
    async with SandboxServer.running(SandboxConfig()) as gone:
        config = fleet(gone, 10_000)
    config = replace(config, pair_of=ISSUE)
    report = new_report(config)
    with pytest.raises(FleetError, match="connection refused: is the gateway running"):
        await run_fleet(config, report)
    assert (report.started, report.steps["enrol"].reasons.total()) == (1, 1)


async def test_a_run_ends_when_its_time_is_over(sandbox: SandboxServer) -> None:
    report = await run(replace(fleet(sandbox, 10_000), rate=20, max_time=0.5))
    assert report.stopped == "--max-time 0.5 s is over"
    assert 0 < report.started < 10_000


async def test_a_cancelled_run_keeps_what_it_counted(sandbox: SandboxServer) -> None:
    config = replace(fleet(sandbox, 10_000), concurrency=2)
    report = new_report(config)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run_fleet(config, report))
        while report.through < 5:  # noqa: ASYNC110 - the report is a plain value
            await asyncio.sleep(0.01)
        task.cancel()
    assert report.through >= 5
    assert report.elapsed > 0


def test_the_same_name_is_the_same_device() -> None:
    assert identity_of("line7-1") == identity_of("line7-1") != identity_of("line7-2")
    mac = str(identity_of("line7-1")["mac"])
    assert len(mac) == 17
    assert mac.startswith("02:")
