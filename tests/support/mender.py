"""A Mender server, the gateway before it and devices, together: what a test of the whole story starts with."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.pki.issue import KeyKind, Pair, make_device, make_key
from mtls_ambassador.sandbox.artifact import read_artifact
from mtls_ambassador.sandbox.deployments import Deployment
from mtls_ambassador.sandbox.devauth import Device
from mtls_ambassador.sandbox.device import ClientStyle, DeviceConfig
from mtls_ambassador.sandbox.real_artifact import make_file_artifact
from mtls_ambassador.sandbox.real_client import RealClientConfig
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.gateway import Gateway
from support.pki import Pki, validity


@dataclass(frozen=True, slots=True)
class World:
    """One gateway before one sandbox, with a PKI of their own."""

    pki: Pki
    sandbox: SandboxServer
    gateway: Gateway

    @classmethod
    @asynccontextmanager
    async def running(
        cls, folder: Path, *, environ: Mapping[str, str] | None = None, **sandbox: object
    ) -> AsyncIterator["World"]:
        """Start both and wait until the gateway is ready; `sandbox` are fields of its configuration."""
        pki = Pki(folder)
        config = SandboxConfig(password="password", **sandbox)  # type: ignore[arg-type]  # a test's shorthand
        async with (
            SandboxServer.running(config) as server,
            Gateway.running(pki, server.url, environ=environ) as gateway,
        ):
            yield cls(pki, server, gateway)

    def pair(self, name: str = "device", kind: KeyKind = KeyKind.P256) -> Pair:
        """A device certificate of this world's CA."""
        return make_device(self.pki.ca, name, validity(), key=make_key(kind))

    def device(self, pair: Pair, mac: str, style: ClientStyle = ClientStyle.GO) -> DeviceConfig:
        """A simulated device that calls the gateway."""
        ca = self.pki.ca.certificate_pem
        return DeviceConfig(self.gateway.url, {"mac": mac}, ca_pem=ca, pair=pair, style=style)

    def real_client(self, pair: Pair, mac: str, *, connect: bool = False) -> RealClientConfig:
        """Mender's own client, calling the gateway."""
        ca = self.pki.ca.certificate_pem
        return RealClientConfig(self.gateway.url, pair, ca, mac, inventory={"site": "line 7"}, connect=connect)

    def accepted(self, mac: str) -> Device | None:
        """The accepted device with this identity, if there is one."""
        devices = self.sandbox.state.devauth.devices(["accepted"])
        return next((device for device in devices if mac in device.identity.canonical), None)

    def deploy(self, device: Device, content: bytes, install_to: Path, *, release: str = "release-2") -> Deployment:
        """Order an update of one device: a file, in an artifact made by the real mender-artifact."""
        path = self.pki.folder / f"{release}.mender"
        path.write_bytes(make_file_artifact(release, "simulated", content, install_to))
        deployments = self.sandbox.state.deployments
        deployments.add_artifact(read_artifact(path), path, path.stat().st_size)
        return deployments.create(f"to {release}", release, [device.id])
