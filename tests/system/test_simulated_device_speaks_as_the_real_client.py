"""The simulated Go client sends what Mender's own Go client sends: same calls, same bodies, same headers."""

import datetime as dt

import pytest

from mtls_ambassador.pki.issue import Validity, make_ca, make_device, make_server
from mtls_ambassador.sandbox.devauth import Status
from mtls_ambassador.sandbox.device import DeviceConfig, DeviceError, SimulatedDevice
from mtls_ambassador.sandbox.journal import Entry
from mtls_ambassador.sandbox.real_client import RealClient, RealClientConfig
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.wait import until

VALID = Validity.days(dt.datetime.now(dt.UTC), 2)
CA = make_ca("CA", VALID)
MAC = "02:00:00:00:00:04"
INVENTORY = ("PUT", "/api/devices/v1/inventory/device/attributes")
CALLS = (
    ("POST", "/api/devices/v1/authentication/auth_requests"),
    INVENTORY,
    ("POST", "/api/devices/v2/deployments/device/deployments/next"),
    ("POST", "/api/devices/v1/deployments/device/deployments/next"),
)


def first(sandbox: SandboxServer, method: str, path: str) -> Entry:
    """The first such request that was answered as it should."""
    entries = sandbox.journal.find(path, method)
    return next(entry for entry in entries if entry.status in {200, 204, 404})


def names(entry: Entry) -> list[str]:
    return sorted(name for name, _ in entry.headers)


async def test_calls_headers_and_the_auth_request_are_the_same() -> None:
    server = make_server(CA, ["127.0.0.1"], VALID)
    pair = make_device(CA, "device", VALID)
    async with SandboxServer.running(SandboxConfig(tls=server)) as real, SandboxServer.running() as plain:
        config = RealClientConfig(real.url, pair, CA.certificate_pem, MAC, tenant_token="a<b>&c")
        async with RealClient.running(config) as client:
            await until(real.state.devauth.devices, "the device to ask", client.log)
            accept_all(real)
            client.check_update()
            await until(lambda: real.journal.find(CALLS[-1][1]), "the question for a deployment", client.log)
            client.send_inventory()
            await until(lambda: real.state.inventory, "the inventory", client.log)
        simulated = DeviceConfig(plain.url, {"mac": MAC}, pair=pair, tenant_token="a<b>&c")
        async with SimulatedDevice(simulated) as device:
            with pytest.raises(DeviceError, match="dev auth: unauthorized"):
                await device.authorize()
            accept_all(plain)
            await device.authorize()
            version = real.state.inventory.popitem()[1].attributes["mender_client_version"]
            await device.send_inventory(
                {"device_type": "simulated", "artifact_name": "release-1", "mender_client_version": str(version)}
            )
            await device.poll_deployment()
        for call in CALLS:
            theirs, ours = first(real, *call), first(plain, *call)
            assert names(theirs) == names(ours), call
            if call == INVENTORY:  # in no order, Go's maps have none
                assert theirs.body_size == ours.body_size
            else:
                assert theirs.body_sha256 == ours.body_sha256, call
            for header in ("User-Agent", "Accept-Encoding"):
                assert theirs.header(header) == ours.header(header), call


def accept_all(sandbox: SandboxServer) -> None:
    """As a person would."""
    devauth = sandbox.state.devauth
    for device in devauth.devices():
        for auth_set in device.auth_sets.values():
            devauth.set_status(device.id, auth_set.id, Status.ACCEPTED)
