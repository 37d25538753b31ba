"""The enrolment story without Envoy: the real flow, store and client before the real sandbox, in this process."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from mtls_ambassador.decide.denylist import Denied, pack
from mtls_ambassador.flows.denied_certificates import DeniedCertificates
from mtls_ambassador.flows.enrol_device import AuthCall, EnrolDevice, Outcome
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.issue import Pair, PrivateKey, make_ca, make_device, public_key_pem
from mtls_ambassador.sandbox.devauth import Device, Status
from mtls_ambassador.sandbox.device_wire import AuthRequest, make_auth_request
from mtls_ambassador.sandbox.journal import AUTH_REQUESTS
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.settings import Listen, Secret, Settings, Upstream
from mtls_ambassador.store.audit import AuditEntry, read_all
from mtls_ambassador.store.database import Database, open_database
from mtls_ambassador.web.service import rules_of
from support.pki import validity

USER, PASSWORD = "mtls@example.com", "password"
PREAUTHORIZE = "/api/management/v2/devauth/devices"
LOGIN = "/api/management/v1/useradm/auth/login"


def settings_for(upstream: str, state: Path, **changes: object) -> Settings:
    """Settings of a gateway that nobody starts: upstream, login and state are what count."""
    url = urlsplit(upstream)
    fields: dict[str, object] = {
        "listen": Listen("127.0.0.1", 0),
        "server_certificate": state,
        "server_key": state,
        "tenant_ca": state,
        "upstream": Upstream(url.scheme, url.hostname or "", url.port or 0),
        "mender_user": USER,
        "mender_password": Secret(PASSWORD),
        "state_dir": state,
    }
    return Settings(**(fields | changes))  # type: ignore[arg-type]  # a test's shorthand


def identity_of(mac: str) -> Identity:
    """The identity of a device that names itself by its MAC address."""
    return Identity.parse(json.dumps({"mac": mac}))


@dataclass(slots=True)
class Clock:
    """A clock that can be put forward."""

    ahead: dt.timedelta = field(default_factory=dt.timedelta)

    def __call__(self) -> dt.datetime:
        """Now, and a little later if so set."""
        return dt.datetime.now(dt.UTC) + self.ahead


def nobody(folder: Path) -> DeniedCertificates:
    """A list by which nobody is denied."""
    path = folder / "denied"
    path.write_bytes(pack(Denied(), ["CN=CA"]).to_bytes())
    return DeniedCertificates(path)


@dataclass(slots=True)
class Bench:
    """The flow and what it stands on."""

    sandbox: SandboxServer
    mender: MenderClient
    database: Database
    enrol: EnrolDevice
    clock: Clock
    ca: Pair

    @classmethod
    @asynccontextmanager
    async def running(
        cls, folder: Path, config: SandboxConfig | None = None, **changes: object
    ) -> AsyncIterator["Bench"]:
        """A sandbox of its own, and a gateway with `changes` to its settings."""
        config = config or SandboxConfig(user=USER, password=PASSWORD, decommission_delay=0)
        async with SandboxServer.running(config) as sandbox, cls.before(sandbox, folder, **changes) as bench:
            yield bench

    @classmethod
    @asynccontextmanager
    async def before(cls, sandbox: SandboxServer, folder: Path, **changes: object) -> AsyncIterator["Bench"]:
        """A gateway before a sandbox that runs already."""
        settings = settings_for(sandbox.url, folder / "state", **changes)
        clock = Clock()
        with open_database(settings.store) as database:
            async with MenderClient.open(settings) as mender:
                enrol = EnrolDevice(mender, database, rules_of(settings), settings.limits, clock, nobody(folder))
                yield cls(sandbox, mender, database, enrol, clock, make_ca("CA", validity()))

    def device(self, name: str = "device", key: PrivateKey | None = None) -> Pair:
        """A device certificate."""
        return make_device(self.ca, name, validity(), key=key)

    async def ask(self, pair: Pair, mac: str, key: PrivateKey | None = None) -> Outcome:
        """An auth request as Mender's client sends it; signed by the certificate's key unless another is given."""
        return await self.send(pair, make_auth_request({"mac": mac}, key or pair.key))

    async def send(self, pair: Pair, request: AuthRequest, certificate_header: str | None = None) -> Outcome:
        """Any auth request."""
        header = quote(pair.certificate_pem) if certificate_header is None else certificate_header
        upstream = {"Content-Type": "application/json", "X-MEN-Signature": request.signature}
        proxy = {"X-Forwarded-For": "192.0.2.7"}
        return await self.enrol(
            AuthCall(request.body, request.signature, header, upstream | proxy, proxy, "192.0.2.7", "request-1")
        )

    async def reason(self, pair: Pair, mac: str, key: PrivateKey | None = None) -> Reason:
        """How an auth request ended."""
        return (await self.ask(pair, mac, key)).reason

    def known(self, mac: str) -> Device:
        """The device as Mender has it."""
        device = self.sandbox.state.devauth.find(identity_of(mac))
        assert device
        return device

    def decide(self, mac: str, pair: Pair, status: Status) -> None:
        """A person's decision in Mender about the auth set of a certificate's key."""
        device = self.known(mac)
        self.sandbox.state.devauth.set_status(device.id, device.auth_sets[public_key_pem(pair.key)].id, status)

    def calls(self, method: str = "", path: str = "") -> int:
        """How many calls of this kind reached Mender since the last `forget`."""
        return len(self.sandbox.journal.find(path, method))

    def forget(self) -> None:
        """Start counting calls anew."""
        self.sandbox.journal.clear()

    def seen(self) -> Mapping[str, int]:
        """Calls since `forget`, by what they are for."""
        return {
            "auth": self.calls("POST", AUTH_REQUESTS),
            "preauthorize": self.calls("POST", PREAUTHORIZE),
            "look": self.calls("GET", PREAUTHORIZE + "/"),
            "accept": self.calls("PUT"),
            "login": self.calls("POST", LOGIN),
        }

    async def audit(self) -> list[AuditEntry]:
        """Every decision so far."""
        return await self.database.run(read_all)
