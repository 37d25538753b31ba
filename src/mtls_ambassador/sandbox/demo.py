"""The demo: the whole story in the order of Mender's page "Client certificates", on this machine, with real parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from mtls_ambassador.model.device import MenderDevice
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.issue import KeyKind, Pair, make_ca, make_device, make_key
from mtls_ambassador.sandbox import demo_world
from mtls_ambassador.sandbox.demo_world import Gateway, Pki
from mtls_ambassador.sandbox.device import ClientStyle, DeviceConfig, SimulatedDevice
from mtls_ambassador.sandbox.device_errors import DeviceError
from mtls_ambassador.sandbox.real_client import RealClient, RealClientConfig
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer

REAL_CLIENT_PATIENCE = 90
KINDS = (KeyKind.P256, KeyKind.ED25519, KeyKind.RSA, KeyKind.P384, KeyKind.P521)


@dataclass(frozen=True, slots=True)
class Result:
    """How one device fared; `expected` says whether that is what should happen."""

    name: str
    what: str
    outcome: str
    expected: bool


@dataclass(slots=True)
class Demo:
    """A demo under way: `say` gets a heading, a command or a fact at a time."""

    say: Callable[[str, str], None]
    devices: int
    use_real_client: bool
    results: list[Result] = field(default_factory=list)
    accepted: list[MenderDevice] = field(default_factory=list)

    @property
    def went_well(self) -> bool:
        """Every device fared as it should, and the Mender server says the same."""
        let_in = sum(result.outcome.startswith("accepted") for result in self.results)
        return all(result.expected for result in self.results) and let_in == len(self.accepted) > 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Gateway, SandboxServer]]:
        """Play the story; sandbox, gateway and the real client run on until the block ends."""
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(demo_world.folder())
            pki = self._certificates(folder_pki=Pki.make(folder))
            sandbox = await self._server(stack)
            gateway = await self._gateway(stack, pki, sandbox)
            await self._boot(stack, pki, gateway)
            await self._refused(pki, gateway)
            self.accepted = await demo_world.accepted_devices(sandbox)
            yield gateway, sandbox

    def _certificates(self, folder_pki: Pki) -> Pki:
        self.say("step", "Generate certificates")
        self.say("done", f"CA certificate          {folder_pki.folder / 'ca-cert.pem'}")
        self.say("done", f"server certificate      {folder_pki.folder / 'server-cert.pem'} (localhost, 127.0.0.1)")
        self.say("done", "client certificates     made for each device below, signed by the CA")
        return folder_pki

    async def _server(self, stack: AsyncExitStack) -> SandboxServer:
        self.say("step", "A Mender server (the sandbox: for demos and tests only)")
        sandbox = await stack.enter_async_context(SandboxServer.running(SandboxConfig()))
        self.say("done", f"serving at {sandbox.url}, no device known yet")
        return sandbox

    async def _gateway(self, stack: AsyncExitStack, pki: Pki, sandbox: SandboxServer) -> Gateway:
        self.say("step", "Set up the mTLS edge proxy")
        gateway = await stack.enter_async_context(demo_world.run_gateway(pki, sandbox))
        hidden = {"MTLS_MENDER_PASS": "…"}
        for name, value in (gateway.environ | hidden).items():
            self.say("command", f"{name}={value} \\")
        self.say("command", "mtls-ambassador run")
        seconds = await gateway.ready()
        tail = asyncio.ensure_future(gateway.follow())
        stack.callback(tail.cancel)
        self.say("done", f"ready after {seconds:.1f} s at {gateway.url}")
        return gateway

    async def _boot(self, stack: AsyncExitStack, pki: Pki, gateway: Gateway) -> None:
        self.say("step", "Enable key and certificate on the devices, and boot them")
        self.say("command", '"HttpsClient": {"Certificate": "/data/mender/mender-cert.pem",')
        self.say("command", '                "Key": "/data/mender/mender-cert-private.pem"}')
        for number in range(1, self.devices + 1):
            await self._simulated(pki, gateway, number)
        if self.use_real_client:
            await self._real(stack, pki, gateway)

    async def _simulated(self, pki: Pki, gateway: Gateway, number: int) -> None:
        kind, name = KINDS[(number - 1) % len(KINDS)], f"device-{number:04}"
        pair = make_device(pki.ca, name, pki.validity, key=make_key(kind))
        style = ClientStyle.GO if number % 2 else ClientStyle.CPP
        config = _config(gateway, pki, pair, _mac(number), style)

        async def live() -> str:
            async with SimulatedDevice(config) as device:
                await device.authorize()
                await device.send_inventory({"device_type": "demo", "artifact_name": "release-1"})
                await device.poll_deployment()
            return "accepted"

        await self._try(name, f"simulated, {kind} key", live)

    async def _real(self, stack: AsyncExitStack, pki: Pki, gateway: Gateway) -> None:
        name = "real-client"
        pair = make_device(pki.ca, name, pki.validity)
        config = RealClientConfig(gateway.url, pair, pki.ca.certificate_pem, _mac(0xFF), device_type="demo")

        async def live() -> str:
            client = await stack.enter_async_context(RealClient.running(config))
            await client.logged("successfully received new authorization data", seconds=REAL_CLIENT_PATIENCE)
            return "accepted"

        await self._try(name, "Mender's own client from Debian", live)

    async def _refused(self, pki: Pki, gateway: Gateway) -> None:
        self.say("step", "Devices that must stay out")
        stranger = make_device(make_ca("My CA", pki.validity), "stranger", pki.validity)
        await self._must_fail(
            "stranger",
            "certificate of another CA",
            _config(gateway, pki, stranger, _mac(0xAA), ClientStyle.GO),
            because="unknown_ca",
        )
        impostor = make_device(pki.ca, "impostor", pki.validity)
        await self._must_fail(
            "impostor",
            "good certificate, but asks for device-0001's identity",
            _config(gateway, pki, impostor, _mac(1), ClientStyle.GO),
            because=Reason.IDENTITY_TAKEN.code,
        )

    async def _must_fail(self, name: str, what: str, config: DeviceConfig, *, because: str) -> None:
        """Only the right reason counts: a gateway that is down refuses everybody."""
        try:
            async with SimulatedDevice(config) as device:
                await device.authorize()
        except DeviceError as error:
            self._note(Result(name, what, f"refused: {error.reason}", expected=because in error.reason))
        else:
            self._note(Result(name, what, "accepted, which it must not be", expected=False))

    async def _try(self, name: str, what: str, live: Callable[[], Awaitable[str]]) -> None:
        began = time.monotonic()
        try:
            outcome = await live()
        except AmbassadorError as error:
            self._note(Result(name, what, f"failed: {str(error).splitlines()[0]}", expected=False))
        else:
            self._note(Result(name, what, f"{outcome} after {time.monotonic() - began:.2f} s", expected=True))

    def _note(self, result: Result) -> None:
        self.results.append(result)
        self.say("done" if result.expected else "failed", f"{result.name:<12} {result.what:<54} {result.outcome}")


def _config(gateway: Gateway, pki: Pki, pair: Pair, mac: str, style: ClientStyle) -> DeviceConfig:
    return DeviceConfig(
        url=gateway.url,
        identity={"mac": mac},
        ca_pem=pki.ca.certificate_pem,
        pair=pair,
        style=style,
        device_type="demo",
    )


def _mac(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 0xFF:02x}"
