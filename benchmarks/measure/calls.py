"""Upstream calls per auth request and memory at rest, of a whole gateway before the sandbox."""

import asyncio
from dataclasses import dataclass

from measure.gateway import PASSWORD, USER, Files, Gateway, gateway, validity
from measure.processes import Workshop, pss_megabytes
from mtls_ambassador.pki.issue import make_device
from mtls_ambassador.sandbox.device import DeviceConfig, SimulatedDevice
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer

LOGIN = "/api/management/v1/useradm/auth/login"
SETTLE = 2.0
"""Seconds of rest before memory is read."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls the sandbox's journal shows, per auth request; logins counted apart, because one serves all."""

    new_device: float
    known_device: float
    logins: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Proportional set size in MB, by process."""

    at_start: dict[str, float]
    after: dict[str, float]
    """After the devices came and went."""


async def measure(workshop: Workshop, files: Files, devices: int) -> tuple[Calls, Memory]:
    """Let `devices` simulated devices enrol through Envoy, each twice."""
    config = SandboxConfig(user=USER, password=PASSWORD)
    state = workshop.folder / "state-calls"
    async with SandboxServer.running(config) as sandbox, gateway(workshop, files, sandbox.url, state) as running:
        await asyncio.sleep(SETTLE)
        at_start = _memory(running)
        fleet = [_device(number, running, files) for number in range(devices)]
        new = await _authorize_all(sandbox, fleet)
        known = await _authorize_all(sandbox, fleet)
        logins = len(sandbox.journal.find(LOGIN))
        await asyncio.sleep(SETTLE)
        return Calls(new, known, logins), Memory(at_start, _memory(running))


async def _authorize_all(sandbox: SandboxServer, devices: list[DeviceConfig]) -> float:
    """Calls per auth request of one round over all devices."""
    before = _calls(sandbox)
    for config in devices:
        async with SimulatedDevice(config) as device:
            await device.authorize()
    return (_calls(sandbox) - before) / len(devices)


def _device(number: int, running: Gateway, files: Files) -> DeviceConfig:
    pair = make_device(files.ca, f"device-{number}", validity())
    identity = {"mac": f"52:54:00:00:00:{number:02x}"}
    return DeviceConfig(url=running.url, identity=identity, ca_pem=files.ca.certificate_pem, pair=pair)


def _calls(sandbox: SandboxServer) -> int:
    return sandbox.journal.total - len(sandbox.journal.find(LOGIN))


def _memory(running: Gateway) -> dict[str, float]:
    return {name: pss_megabytes(pid) for name, pid in running.parts().items()}
