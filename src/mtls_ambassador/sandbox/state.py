"""What a running sandbox consists of, and how it is set up."""

import datetime as dt
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mtls_ambassador.pki.issue import Pair
from mtls_ambassador.sandbox.deployments import Deployments
from mtls_ambassador.sandbox.devauth import UNLIMITED, DevAuth, Device
from mtls_ambassador.sandbox.faults import Faults
from mtls_ambassador.sandbox.journal import Journal
from mtls_ambassador.sandbox.tokens import TokenSigner
from mtls_ambassador.sandbox.useradm import Session, UserAdm


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How a sandbox is set up. Times in seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 means the system chooses."""
    tls: Pair | None = None
    """Certificate and key to serve TLS with; None means plain HTTP."""
    chain_pem: bytes = b""
    """Intermediate certificates sent along."""
    user: str = "mtls@example.com"
    password: str = field(default="sandbox-only", repr=False)
    device_limit: int = UNLIMITED
    login_lifetime: float = 604_800
    device_token_lifetime: float = 604_800
    decommission_delay: float = 0.5
    """From the flag to the device being gone; Mender does this by a workflow."""
    token_key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | None = field(default=None, repr=False)
    """Signs all tokens: Ed25519 for EdDSA, RSA for RS256; None means a new Ed25519 key."""
    download_base: str | None = None
    """Scheme, host and port of artifact links, such as `https://storage.example.com`; None means the address the
    device used: `X-Forwarded-Proto` and `X-Forwarded-Host` when a proxy sent them, else the request's own."""
    ping_interval: float = 30
    """Between two pings on a device's WebSocket; one that is silent for two of them is dropped."""
    journal_size: int = 20_000
    """Requests remembered."""
    log_requests: bool = False
    """Whether every answered request is a line in the log."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a device reported of itself, and when."""

    updated: dt.datetime
    attributes: dict[str, object]


class SandboxState:
    """Everything a sandbox knows. In memory, artifacts in `folder`: it ends with the process."""

    def __init__(self, config: SandboxConfig, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.signer = TokenSigner(config.token_key)
        self.devauth = DevAuth(_now, limit=config.device_limit, delay=config.decommission_delay)
        self.users = UserAdm(
            config.user, config.password, signer=self.signer, clock=time.time, lifetime=config.login_lifetime
        )
        self.inventory: dict[str, Inventory] = {}
        self.configured: dict[str, dict[str, str]] = {}
        self.reported: dict[str, dict[str, str]] = {}
        self.deployments = Deployments(_now)
        self.devauth.on_removed.append(self._forget)
        self.journal = Journal(config.journal_size)
        self.faults = Faults()
        self.secret = secrets.token_bytes(32)
        """Signs links and forms."""

    def _forget(self, device_id: str) -> None:
        for store in (self.inventory, self.configured, self.reported):
            store.pop(device_id, None)
        self.deployments.device_removed(device_id)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


STATE = web.AppKey("state", SandboxState)
DEVICE = web.RequestKey("device", Device)
SESSION = web.RequestKey("session", Session)
