"""The files Mender's own client reads, written into a private folder: `mender.conf` as the seed says, and the rest."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtls_ambassador.pki.issue import Pair, PrivateKey, key_pem

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy>
</busconfig>
"""


@dataclass(frozen=True, slots=True)
class RealClientConfig:
    """Who the device is and where it calls. Times in seconds."""

    url: str
    pair: Pair
    ca_pem: bytes
    """What the server's certificate must chain to."""
    mac: str
    """The identity is `{"mac": …}`, Mender's default."""
    auth_key: PrivateKey | None = field(default=None, repr=False)
    """`Security.AuthPrivateKey`; None means the certificate's key signs, as 3.x does by default."""
    tenant_token: str = ""
    device_type: str = "simulated"
    artifact_name: str = "release-1"
    poll_interval: int = 2
    """Between two questions for a deployment, two inventories, and two attempts after a failure."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Names that only this device knows, with their addresses: `{"my-server.com": "127.0.0.1"}`. Needs
    CAP_SYS_ADMIN."""
    inventory: Mapping[str, str] = field(default_factory=dict)
    """Attributes an inventory script of this device reports."""
    connect: bool = False
    """Run mender-connect too, with a D-Bus of their own."""
    conf: str | None = None
    """`mender.conf` as it is, in place of one made from all of the above."""


def write_folder(folder: Path, config: RealClientConfig) -> None:
    """Write everything; secrets get mode 0600 at creation."""
    for name in ("etc", "identity", "inventory", "data"):
        (folder / name).mkdir()
    _write(folder / "ca.pem", config.ca_pem)
    write_pair(folder, config.pair)
    if config.auth_key is not None:
        _write(folder / "auth-private.pem", key_pem(config.auth_key), 0o600)
    conf = json.dumps(mender_conf(folder, config), indent=2) if config.conf is None else config.conf
    _write(folder / "etc/mender.conf", conf.encode())
    _write(folder / "etc/artifact_info", f"artifact_name={config.artifact_name}\n".encode())
    _write(folder / "etc/mender-connect.conf", b'{"ShellCommand": "/bin/sh", "User": "nobody"}')
    _write(folder / "data/device_type", f"device_type={config.device_type}\n".encode())
    _write(folder / "identity/mender-device-identity", _script({"mac": config.mac}), 0o700)
    _write(folder / "inventory/mender-inventory-demo", _script(config.inventory), 0o700)
    own = "".join(f"{address} {name}\n" for name, address in config.hosts.items())
    _write(folder / "hosts", own.encode() + Path("/etc/hosts").read_bytes())
    _write(folder / "dbus.conf", BUS.format(path=folder / "bus").encode())


def write_pair(folder: Path, pair: Pair) -> None:
    """The device certificate and its key, in place of those before."""
    for name in ("mender-cert.pem", "mender-cert-private.pem"):
        (folder / name).unlink(missing_ok=True)
    _write(folder / "mender-cert.pem", pair.certificate_pem)
    _write(folder / "mender-cert-private.pem", pair.key_pem, 0o600)


def mender_conf(folder: Path, config: RealClientConfig) -> dict[str, object]:
    """`mender.conf` as the seed says, with short intervals so that one need not wait."""
    conf: dict[str, object] = {
        "ServerURL": config.url,
        "TenantToken": config.tenant_token,
        "ServerCertificate": str(folder / "ca.pem"),
        "HttpsClient": {
            "Certificate": str(folder / "mender-cert.pem"),
            "Key": str(folder / "mender-cert-private.pem"),
        },
        "DeviceTypeFile": str(folder / "data/device_type"),
        "DBus": {"Enabled": config.connect},
    }
    for name in ("UpdatePollIntervalSeconds", "InventoryPollIntervalSeconds", "RetryPollIntervalSeconds"):
        conf[name] = config.poll_interval
    if config.auth_key is not None:
        conf["Security"] = {"AuthPrivateKey": str(folder / "auth-private.pem")}
    return conf


def _script(attributes: Mapping[str, str]) -> bytes:
    """A script that prints `name=value` lines, the form of Mender's identity and inventory scripts."""
    lines = "".join(f"{name}={value}\n" for name, value in attributes.items())
    return f"#!/bin/sh\ncat <<'END'\n{lines}END\n".encode()


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
