"""The gateway's own login is read anew when its file changes; a bad file leaves the old one in use, and is told."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from mtls_ambassador.pki.issue import make_device
from mtls_ambassador.sandbox.device import DeviceConfig, SimulatedDevice
from mtls_ambassador.sandbox.device_errors import DeviceError
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.client import until
from support.gateway import Gateway
from support.pki import Pki, validity
from support.revocation import swap

LOGIN = "login at the Mender server"


def health(gateway: Gateway) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/health") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def metrics(gateway: Gateway) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/metrics") as answer:
        return str(answer.read().decode())


async def authorize(gateway: Gateway, pki: Pki, mac: str) -> None:
    pair = make_device(pki.ca, mac, validity())
    async with SimulatedDevice(
        DeviceConfig(gateway.url, {"mac": mac}, ca_pem=pki.ca.certificate_pem, pair=pair)
    ) as one:
        await one.authorize()


async def test_a_new_password_is_used_without_a_restart(tmp_path: Path) -> None:
    pki, secret = Pki(tmp_path), tmp_path / "password"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    environ = {"MTLS_MENDER_PASS": "", "MTLS_MENDER_PASS_FILE": str(secret)}
    async with (
        SandboxServer.running(SandboxConfig(user="mtls@example.com", password="password")) as sandbox,
        Gateway.running(pki, sandbox.url, environ=environ) as gateway,
    ):
        with pytest.raises(DeviceError):
            await authorize(gateway, pki, "a")
        swap(secret, b"password\n")
        await until(lambda: any(item["what"] == LOGIN for item in gateway.events("taken")))
        await authorize(gateway, pki, "b")
        assert health(gateway)["status"] == "ok"
        swap(secret, b"")
        refused = await gateway.event("not taken, the old one stays in force")
        assert "MTLS_MENDER_PASS_FILE" in refused["reason"]
        assert "password\n" not in "\n".join(gateway.lines)
        await authorize(gateway, pki, "c")
        seen = health(gateway)
        (state,) = [item for item in seen["inputs"] if item["name"] == LOGIN]
        assert (seen["status"], seen["ready"]) == ("degraded", True)
        assert "is empty" in state["fault"]
        assert f'mtls_ambassador_input_fault{{input="{LOGIN}"}} 1.0' in metrics(gateway)
