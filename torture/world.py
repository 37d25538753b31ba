"""A gateway before a Mender server, with traffic on it: what every scenario starts with."""

import asyncio
import datetime as dt
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509

from mtls_ambassador.flows.denial_journal import DenialJournal
from mtls_ambassador.flows.denial_targets import Selection
from mtls_ambassador.flows.deny import Order, deny
from mtls_ambassador.model.device import PinState, Standing
from mtls_ambassador.pki.issue import Pair, make_ca, make_server
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.settings.values import StoreSettings
from mtls_ambassador.store.audit import verify
from mtls_ambassador.store.database import SQLITE_FILE, open_database
from mtls_ambassador.store.tables import device, pin
from support.gateway import REAL, Gateway
from support.pki import Pki, validity
from support.ports import free_port
from support.revocation import crl
from torture.history import Arrival, Role
from torture.link import Link
from torture.machine import unmount_below
from torture.traffic import Traffic

UPSTREAM_TIMES = {"MTLS_UPSTREAM_TIMEOUT": "4", "MTLS_UPSTREAM_CONNECT_TIMEOUT": "3", "MTLS_DRAIN_TIME": "2"}
"""Short, so that what runs into them is seen within seconds."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a world lives."""

    folder: Path
    port: int
    admin_port: int

    @property
    def state(self) -> Path:
        """The gateway's state folder."""
        return self.folder / "state"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is special about a scenario's gateway."""

    host: str = "localhost"
    """The name of upstream."""
    environ: Callable[[Place], Mapping[str, str]] = lambda _: {}
    wrapper: Callable[[Place], tuple[str, ...]] = lambda _: ()
    """A command that starts the gateway's own."""
    prepare: Callable[[Place], None] = lambda _: None
    """Before anything is in the state folder."""


@dataclass(slots=True)
class World:
    """All parts; a scenario's fault works on them."""

    place: Place
    setting: Setting
    pki: Pki
    upstream_ca: Pair
    sandbox: SandboxServer
    link: Link
    traffic: Traffic
    gateways: list[Gateway] = field(default_factory=list)
    """All that were started, the last one last."""
    faults: list[str] = field(default_factory=list)
    """What a scenario itself finds wrong."""
    notes: list[str] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    @asynccontextmanager
    async def running(cls, setting: Setting) -> AsyncIterator["World"]:
        """Start all, with devices known, denied and strange; ended and gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="torture-"))
        place = Place(folder, free_port(), free_port())
        try:
            setting.prepare(place)
            authority = make_ca("Upstream CA", validity())
            server = make_server(authority, ["127.0.0.1", setting.host], validity())
            config = SandboxConfig(password="password", tls=server, journal_size=200_000)  # noqa: S106 - of a sandbox
            async with SandboxServer.running(config) as sandbox, Link.to(sandbox.port) as link:
                pki = Pki(folder)
                world = cls(place, setting, pki, authority, sandbox, link, Traffic(place.port, pki))
                await asyncio.to_thread(world._furnish)
                try:
                    await world.start()
                    yield world
                finally:
                    await world.stop()
        finally:
            await asyncio.to_thread(unmount_below, folder)
            shutil.rmtree(folder, ignore_errors=True)

    async def start(self, *, wait: bool = True) -> None:
        """Start the gateway, on the same ports and the same state as before."""
        command = (*self.setting.wrapper(self.place), *REAL)
        upstream = f"https://{self.setting.host}:{self.link.port}"
        running = Gateway.running(self.pki, upstream, environ=self._environ(), command=command, wait=wait)
        self.gateways.append(await self._stack.enter_async_context(running))

    async def stop(self) -> None:
        """End the gateway."""
        await self._stack.aclose()

    async def restart(self) -> None:
        """End what is left of it, and start it as a service manager does."""
        await self.stop()
        await self.start()

    def seen_upstream(self) -> tuple[tuple[Arrival, ...], dict[str, tuple[str, ...]]]:
        """What reached Mender, and the auth sets it has by the name of the device."""
        arrivals = tuple(
            Arrival((entry.header("X-MEN-RequestID") or "").partition(".")[0], entry.method, entry.path, entry.status)
            for entry in self.sandbox.journal.entries
        )
        devices = self.sandbox.state.devauth.devices()
        sets = {
            str(json.loads(device.identity.canonical).get("mac")): tuple(
                str(each.status) for each in device.auth_sets.values()
            )
            for device in devices
        }
        return arrivals, sets

    def seen_in_store(self) -> frozenset[str]:
        """The devices that the store holds as let in; an audit that is not whole is a fault."""
        held = (
            sa.select(device.c.identity)
            .join(pin, pin.c.identity_sha256 == device.c.identity_sha256)
            .where(device.c.standing == Standing.ACCEPTED, pin.c.state == PinState.HELD)
        )
        with open_database(self._store) as database, database.snapshot() as connection:
            if fault := verify(connection).fault:
                self.faults.append(f"the audit is not whole: {fault}")
            return frozenset(str(json.loads(identity).get("mac")) for identity in connection.scalars(held))

    @property
    def _store(self) -> StoreSettings:
        return StoreSettings(self.place.state, None, self.place.state / "pki")

    @property
    def log(self) -> list[str]:
        """All that the gateways said."""
        return [line for gateway in self.gateways for line in gateway.lines]

    @property
    def gateway(self) -> Gateway:
        """The one that runs, or ran last."""
        return self.gateways[-1]

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.place.state / SQLITE_FILE

    @property
    def blacklist(self) -> Path:
        """The denylist file."""
        return self.place.folder / "blacklist.txt"

    @property
    def crl(self) -> Path:
        """The file of revocation lists."""
        return self.place.folder / "crl.pem"

    def _furnish(self) -> None:
        """Good devices, strangers, and three that are denied: by the file, by a CRL and by the store."""
        for number in range(3):
            self.traffic.add(f"good-{number}", Role.GOOD)
        serials = {}
        for how in ("file", "crl", "store"):
            pair = self.traffic.add(f"denied-by-{how}", Role.DENIED).pair
            serials[how] = x509.load_pem_x509_certificate(pair.certificate_pem).serial_number
        self.traffic.add_stranger("stranger", certified=True)
        self.traffic.add_stranger("nobody", certified=False)
        self.blacklist.write_text(f"{serials['file']:x}\n")
        self.crl.write_bytes(crl(self.pki.ca, [serials["crl"]]))
        (self.place.folder / "upstream-ca.pem").write_bytes(self.upstream_ca.certificate_pem)
        with open_database(self._store) as database:
            order = Order("lost", "torture", dt.datetime.now(dt.UTC))
            deny(
                database,
                DenialJournal(self.place.state),
                Selection(serials=(serials["store"],)),
                order,
                {},
                dry_run=False,
            )

    def _environ(self) -> dict[str, str]:
        place = self.place
        return {
            "MTLS_LISTEN": f"127.0.0.1:{place.port}",
            "MTLS_ADMIN_LISTEN": f"127.0.0.1:{place.admin_port}",
            "MTLS_STATE_DIR": str(place.state),
            "MTLS_MENDER_CERT": str(place.folder / "upstream-ca.pem"),
            "MTLS_BLACKLIST_PATH": str(self.blacklist),
            "MTLS_CRL_PATH": str(self.crl),
            **UPSTREAM_TIMES,
            **self.setting.environ(place),
        }
