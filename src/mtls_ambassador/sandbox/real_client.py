"""Mender's own client from Debian (`mender-client` 3.x, and `mender-connect`) as a device, thrown away after."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import Pair
from mtls_ambassador.sandbox.real_files import RealClientConfig, write_folder, write_pair
from mtls_ambassador.sandbox.real_isolation import DYING, isolated, links_into, may_mount

__all__ = ["RealClient", "RealClientConfig", "RealClientError"]

CLIENT, CONNECT, BUS = "mender", "mender-connect", "dbus-daemon"
START_SECONDS = 30


class RealClientError(AmbassadorError):
    """The real client could not be started, or did not do in time what was waited for; the text ends with its log."""


@dataclass(slots=True)
class RealClient:
    """One running device. It is ended as a device is: by losing power; its data folder survives that."""

    config: RealClientConfig
    folder: Path
    """Private; `data/` is the client's state."""
    _processes: dict[str, asyncio.subprocess.Process]

    @staticmethod
    def available(*, connect: bool = False) -> str:
        """Why the real client cannot run here, or "" when it can. With `connect`, mender-connect and D-Bus too."""
        packages = {CLIENT: "mender-client", "unshare": "util-linux", "setpriv": "util-linux"}
        if connect:
            packages |= {CONNECT: "mender-connect", BUS: "dbus-daemon"}
        for program, package in packages.items():
            if shutil.which(program) is None:
                return f"{program} is not installed (Debian package {package})"
        if os.geteuid() != 0:
            return "the Mender client must run as root"
        return ""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, config: RealClientConfig) -> AsyncIterator["RealClient"]:
        """Run a device until the block ends; raises RealClientError when it cannot be started."""
        if reason := cls.available(connect=config.connect):
            raise RealClientError(reason)
        if config.hosts and not may_mount():
            raise RealClientError("names of its own need mount namespaces (CAP_SYS_ADMIN)")
        with tempfile.TemporaryDirectory(prefix="mender-") as name, links_into(Path(name)):
            write_folder(Path(name), config)
            client = cls(config, Path(name), {})
            try:
                await client.start()
                yield client
            finally:
                await client.stop()

    async def start(self) -> None:
        """Switch the device on; after `stop` it comes back with its state. mender-connect goes first, so that it
        hears of the token at once instead of asking again after ten seconds.
        """
        if self.config.connect:
            socket = self.folder / "bus"
            socket.unlink(missing_ok=True)
            await self._spawn(BUS, [*DYING, BUS, f"--config-file={self.folder / 'dbus.conf'}", "--nofork"])
            await self._until(socket.exists, BUS, "no bus")
            conf = str(self.folder / "etc/mender-connect.conf")
            await self._spawn(CONNECT, isolated([CONNECT, "--config", conf, "daemon"], self.folder))
            await self._until(lambda: "GetJWTToken" in self.connect_log(), CONNECT, "it did not ask for a token")
        conf, data = str(self.folder / "etc/mender.conf"), str(self.folder / "data")
        command = [CLIENT, "--no-syslog", "--config", conf, "--data", data, "daemon"]
        await self._spawn(CLIENT, isolated(command, self.folder))
        await self._until(lambda: "configuration file" in self.log(), CLIENT, "it did not start")

    async def stop(self) -> None:
        """Cut the power: every program and its children end at once."""
        processes, self._processes = self._processes, {}
        for process in processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in processes.values():
            await process.wait()

    async def restart_with(self, pair: Pair) -> None:
        """Give the device another certificate and key, and switch it off and on: a key rotation."""
        await self.stop()
        write_pair(self.folder, pair)
        await self.start()

    def log(self) -> str:
        """What mender-client logged so far."""
        return self._log(CLIENT)

    def connect_log(self) -> str:
        """What mender-connect logged so far."""
        return self._log(CONNECT)

    async def logged(self, text: str, *, seconds: float = 60) -> None:
        """Wait until mender-client's log holds `text`; raises RealClientError with the log when it never does."""
        await self._until(lambda: text in self.log(), CLIENT, f"nothing of {text!r} in {seconds} s", seconds)

    def check_update(self) -> None:
        """Ask for a deployment now, as `mender check-update` does."""
        self._processes[CLIENT].send_signal(signal.SIGUSR1)

    def send_inventory(self) -> None:
        """Send the inventory now, as `mender send-inventory` does."""
        self._processes[CLIENT].send_signal(signal.SIGUSR2)

    async def _spawn(self, name: str, argv: list[str]) -> None:
        bus = f"unix:path={self.folder / 'bus'}"
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root", "DBUS_SYSTEM_BUS_ADDRESS": bus}
        with self._open_log(name) as output:
            self._processes[name] = await asyncio.create_subprocess_exec(
                *argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
            )

    def _open_log(self, name: str) -> IO[bytes]:
        return (self.folder / f"{name}.log").open("ab")

    def _log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def _until(self, done: Callable[[], bool], name: str, complaint: str, seconds: float = START_SECONDS) -> None:
        """Wait for `done`; raises RealClientError when time is up or the program ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done() and self._processes[name].returncode is None:  # noqa: ASYNC110 - another program's file
                    await asyncio.sleep(0.05)
        if not done():
            code = self._processes[name].returncode
            ended = "" if code is None else f" (it ended with {code})"
            raise RealClientError(f"{name}: {complaint}{ended}\n{self._log(name)[-4000:]}")
