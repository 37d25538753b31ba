"""`mtls-ambassador simulate` drives devices through the gateway, says what came of it, and can be interrupted."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from mtls_ambassador.pki.issue import make_ca
from support.mender import World
from support.pki import validity
from support.wait import until

COMMAND = (sys.executable, "-m", "mtls_ambassador", "simulate")


async def start(world: World, *options: str) -> asyncio.subprocess.Process:
    """The command as a user calls it, its summary in a pipe."""
    key = world.pki.folder / "ca.key"
    key.write_bytes(world.pki.ca.key_pem)
    ca = ["--ca", str(world.pki.ca_file), "--issuer-key", str(key)]
    words = [*COMMAND, "--url", world.gateway.url, *ca, *options]
    return await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)


async def test_devices_with_certificates_of_their_own_all_come_through(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        process = await start(world, "--devices", "25", "--rounds", "2", "--concurrency", "10", "--json")
        output, _ = await process.communicate()
        report = json.loads(output)
        assert (process.returncode, report["through"], report["failed"]) == (0, 25, 0)
        assert {name: step["ok"] for name, step in report["steps"].items()} == {
            "enrol": 25,
            "inventory": 50,
            "poll": 50,
        }
        assert world.sandbox.state.devauth.count() == 25


async def test_the_same_devices_with_new_keys_are_let_in_again(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        for _ in range(2):
            process = await start(world, "--devices", "5", "--name", "line7", "--style", "cpp")
            output, _ = await process.communicate()
            assert process.returncode == 0, output
        devices = world.sandbox.state.devauth.devices(["accepted"])
        assert [len(device.auth_sets) for device in devices] == [2] * 5


async def test_a_ca_the_gateway_does_not_know_ends_the_run_with_advice(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        other = make_ca("other", validity())
        certificate, key = tmp_path / "other.pem", tmp_path / "other.key"
        certificate.write_bytes(other.certificate_pem)
        key.write_bytes(other.key_pem)
        options = ["--ca", str(certificate), "--issuer-key", str(key), "--server-ca", str(world.pki.ca_file)]
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "--url", world.gateway.url, "--devices", "100000", *options, stderr=asyncio.subprocess.PIPE
        )
        _, error = await process.communicate()
        assert process.returncode == 1
        assert "the server refused the device certificate (alert unknown_ca): is its CA the one" in error.decode()
        await world.gateway.event("handshake refused")
        assert len(world.gateway.events("handshake refused")) <= 2, "one device, and one more look for the alert"


async def test_interrupted_it_says_what_it_saw_and_exits_1(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        process = await start(world, "--devices", "100000", "--rate", "50")
        await until(lambda: world.sandbox.state.devauth.count() >= 5, "some devices")
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
        text = output.decode()
        assert process.returncode == 1
        assert "of 100000 devices came through" in text
        assert "Stopped early: interrupted" in text
