"""`device revoke` and `restore` at a running gateway: every way to name a device keeps it out and lets it in again."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from mtls_ambassador.pki.issue import Pair, make_ca, make_device
from mtls_ambassador.sandbox.device import ClientStyle, DeviceError, SimulatedDevice
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.client import until
from support.gateway import Gateway, clean_environ
from support.mender import World
from support.pki import Files, Pki, validity
from support.revocation import Line, becomes

DENIED = "certificate-denied"


@dataclass(frozen=True, slots=True)
class Place:
    """A state folder with the commands over it, a CA that all devices share, and one of its own for the bad device."""

    state: Path
    pki: Pki
    other: Pair

    @classmethod
    def make(cls, folder: Path) -> "Place":
        place = cls(folder / "state", Pki(folder), make_ca("Other CA", validity(-30)))
        Files.write(folder, "other", place.other)
        with place.pki.ca_file.open("ab") as file:
            file.write(place.other.certificate_pem)
        return place

    @property
    def ca_file(self) -> Path:
        return self.pki.folder / "other.crt"

    @asynccontextmanager
    async def world(self, environ: Mapping[str, str] | None = None) -> AsyncIterator[World]:
        given = {"MTLS_STATE_DIR": str(self.state), **(environ or {})}
        async with (
            SandboxServer.running(SandboxConfig(password="password")) as sandbox,
            Gateway.running(self.pki, sandbox.url, environ=given) as gateway,
        ):
            yield World(self.pki, sandbox, gateway)

    async def run(self, *args: str | Path) -> str:
        """What a command says on both streams; it must succeed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mtls_ambassador", *map(str, args)),
            env=clean_environ() | {"MTLS_STATE_DIR": str(self.state)},
            cwd=self.pki.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    async def bad(self, kind: str) -> Pair:
        """A device's certificate; of a batch where that is what is denied."""
        if kind != "batch":
            return make_device(self.other, "bad", validity(-20))
        await self.run("pki", "import", "--cert", self.ca_file, "--key", "other.key", "--no-passphrase")
        await self.run(
            "pki", "batch", "--count", "1", "--name", "bad-{n}", "--batch", "lot", "--out", "lot", "--days", "20"
        )
        made = self.pki.folder / "lot" / "bad-1"
        key = load_pem_private_key((made / "mender-cert-private.pem").read_bytes(), None)
        return Pair(load_pem_x509_certificate((made / "mender-cert.pem").read_bytes()), key)  # type: ignore[arg-type]  # P-256

    def words(self, kind: str, bad: Pair) -> list[str | Path]:
        """How the bad device is named."""
        files = Files.write(self.pki.folder, "named", bad)
        day = f"{bad.certificate.not_valid_before_utc:%Y-%m-%d}"
        words: dict[str, list[str | Path]] = {
            "identity": ['{"mac":"bad"}'],
            "serial": ["--serial", f"{bad.certificate.serial_number:x}", "--ca", self.ca_file],
            "key": ["--key", files.certificate],
            "batch": ["--batch", "lot"],
            "dates": ["--issued-from", day, "--issued-to", day, "--ca", self.ca_file],
            "ca": ["--ca", self.ca_file],
        }
        return words[kind]


async def reason(device: SimulatedDevice) -> str:
    """Why a call on a new connection failed; empty when it did not."""
    try:
        await device.send_inventory()
    except DeviceError as error:
        return error.reason
    return ""


@pytest.mark.parametrize("kind", ["identity", "serial", "key", "batch", "dates", "ca"])
async def test_a_denied_device_is_out_at_once_and_in_again_when_restored(tmp_path: Path, kind: str) -> None:
    place = Place.make(tmp_path)
    pair = await place.bad(kind)
    words = place.words(kind, pair)
    async with place.world() as world:
        context = world.pki.client_context(Files.write(tmp_path, "bad", pair))
        async with (
            SimulatedDevice(world.device(pair, "bad", ClientStyle.CPP)) as bad,
            SimulatedDevice(world.device(world.pair("good"), "good", ClientStyle.CPP)) as good,
            Line.to(world.gateway, context) as line,
        ):

            async def is_out() -> tuple[bool, bool]:
                why = await reason(bad)
                return DENIED in (await line.answer()).body.decode(), DENIED in why or "unknown_ca" in why

            await bad.authorize()
            await good.authorize()
            assert await is_out() == (False, False)
            assert await reason(bad) == ""

            await place.run("device", "revoke", *words)
            with pytest.raises(DeviceError, match=f"{DENIED}|unknown_ca"):
                await bad.authorize()
            await becomes(is_out, (True, True))
            assert await reason(good) == ""

            assert "lifted: 1: " in await place.run("device", "restore", *words)
            await becomes(is_out, (False, False))
            await bad.authorize()
            assert await reason(bad) == ""
            assert await reason(good) == ""


async def test_now_ends_websockets_and_good_devices_come_back(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    async with (
        place.world({"MTLS_DRAIN_TIME": "1"}) as world,
        SimulatedDevice(world.device(world.pair("bad"), "bad")) as bad,
        SimulatedDevice(world.device(world.pair("good"), "good")) as good,
    ):
        for device in (bad, good):
            await device.authorize()
        async with bad.open_websocket() as one, good.open_websocket() as other:
            await place.run("device", "revoke", '{"mac":"bad"}', "--now")
            async with asyncio.timeout(20):
                for socket in (one, other):
                    assert (await socket.receive()).type in {
                        aiohttp.WSMsgType.CLOSE,
                        aiohttp.WSMsgType.CLOSED,
                        aiohttp.WSMsgType.ERROR,
                    }
        for device in (bad, good):
            await device.close()
        with pytest.raises(DeviceError, match="401"):
            async with bad.open_websocket():
                pass
        async with good.open_websocket() as again:
            assert not again.closed


def restore_from(backup: Path, live: Path) -> None:
    """As `sqlite3 live '.restore backup'` does, also while others have it open."""
    with closing(sqlite3.connect(backup)) as old, closing(sqlite3.connect(live)) as new:
        old.backup(new)


async def test_a_restored_database_lets_nobody_in_unnoticed(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    live, backup = place.state / "ambassador.db", tmp_path / "backup.db"
    pair = make_device(place.other, "bad", validity())
    serial = f"{pair.certificate.serial_number:x}"
    async with place.world() as world, SimulatedDevice(world.device(pair, "bad", ClientStyle.CPP)) as bad:
        await bad.authorize()
        restore_from(live, backup)
        await place.run("device", "revoke", "--serial", serial)
        await becomes(lambda: is_denied(bad), wanted=True)
        restore_from(backup, live)
        told = await world.gateway.event("the denylist of the store is not taken")
        assert f"serial {serial.upper().zfill(len(serial) + len(serial) % 2)}" in told["reason"]
        assert await is_denied(bad)

    given = {"MTLS_STATE_DIR": str(place.state)}
    async with Gateway.running(place.pki, "http://127.0.0.1:9", environ=given, wait=False) as gateway:
        assert await gateway.exit_code() == 1
    said = "\n".join(gateway.lines)
    assert "1 denial that the database has lost" in said
    assert "`mtls-ambassador device denials --take-over`" in said

    assert "put back: serial" in await place.run("device", "denials", "--take-over")
    async with place.world() as world, SimulatedDevice(world.device(pair, "bad", ClientStyle.CPP)) as bad:
        with pytest.raises(DeviceError, match=f"{DENIED}|unknown_ca"):
            await bad.authorize()


async def test_taking_over_while_the_gateway_runs_ends_the_fault(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    live, backup = place.state / "ambassador.db", tmp_path / "backup.db"
    async with place.world() as world:
        restore_from(live, backup)
        await place.run("device", "revoke", "--serial", "0F")
        await until(lambda: written(world.gateway)["serials"] == [f"{15:040x}"])
        restore_from(backup, live)
        await until(lambda: bool(written(world.gateway)["fault"]))
        await place.run("device", "denials", "--take-over")
        await until(lambda: not written(world.gateway)["fault"])
        assert written(world.gateway)["serials"] == [f"{15:040x}"]


async def is_denied(device: SimulatedDevice) -> bool:
    return DENIED in await reason(device)


def written(gateway: Gateway) -> dict[str, object]:
    """What the decision service says of the store."""
    values: dict[str, object] = json.loads((gateway.runtime / "store-denials.json").read_text())
    return values
