"""From a text to a value, one function per kind; each raises ValueError saying what would be right.

No error repeats a text that may hold a secret: the caller knows whether it may be shown.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from mtls_ambassador.settings.template import parse_template
from mtls_ambassador.settings.values import (
    BindingMode,
    Collector,
    IdentityBinding,
    Listen,
    Secret,
    TlsVersion,
    Upstream,
)

Choice = TypeVar("Choice", bound=StrEnum)

_TRUE = {"1", "t", "true", "y", "yes", "on"}
_FALSE = {"0", "f", "false", "n", "no", "off"}
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}  # Go's time.ParseDuration
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]*)*", re.ASCII)
_LISTEN = "must be address:port with an IP address, or :port for every address"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_text(text: str) -> str:
    """Any text on one line."""
    if not text.isprintable():
        raise ValueError("must be one line of printable text")
    return text


def parse_user(text: str) -> str:
    """A user name for HTTP Basic, which ends at the first colon (RFC 7617 section 2)."""
    if ":" in text:
        raise ValueError("must be a user name without a colon, usually an e-mail address")
    return parse_text(text)


def parse_secret(text: str) -> Secret:
    """Any text that an HTTP header can carry; it is never shown."""
    if not text.isprintable():
        raise ValueError("must be one line of printable text")
    return Secret(text)


def parse_path(text: str) -> Path:
    """A path of a file or folder."""
    if "\0" in text:
        raise ValueError("must be a path without NUL")
    return Path(text)


def parse_header_name(text: str) -> str:
    """The name of an HTTP header (RFC 9110 section 5.1)."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", text, re.ASCII):
        raise ValueError("must be the name of a header, such as X-Forwarded-Email")
    return text


def parse_networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Addresses and networks, joined by commas."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError("must be addresses or networks joined by commas, such as 10.0.0.7,fd00::/64") from None


def parse_bool(text: str) -> bool:
    """True or false as Go's strconv.ParseBool reads it, in any case; also yes/no and on/off."""
    lower = text.lower()
    if lower in _TRUE:
        return True
    if lower in _FALSE:
        return False
    raise ValueError("must be true or false")


def parse_listen(text: str) -> Listen:
    """An address to listen on: `:8080`, `127.0.0.1:8080` or `[::1]:8443`; `localhost` is 127.0.0.1."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(_LISTEN)
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise ValueError("must have an IPv6 address in brackets, as in [::1]:8443")
    host = host[1:-1] if bracketed else host
    if "%" in host:
        raise ValueError("must have no zone in its address")
    try:
        address = str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)) if host else ""
    except ValueError:
        raise ValueError(_LISTEN) from None
    return Listen(address, _parse_port(port))


def _is_host(host: str) -> bool:
    return _HOST_NAME.fullmatch(host) is not None or (":" in host and re.fullmatch(r"[0-9A-Fa-f:.]+", host) is not None)


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):  # noqa: PLR2004 - TCP's own range
        raise ValueError("must end in a port from 1 to 65535")
    return int(text)


def parse_upstream(text: str) -> Upstream:
    """The Mender server's URL: scheme, host and maybe a port. A path would be lost, so only `/` is taken."""
    right = "must be like https://hosted.mender.io or https://mender.example.com:8443"
    url = _split(text, right)
    if url.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"must begin with https:// (or http:// for tests); {right}")
    if "@" in url.netloc:
        raise ValueError("must have no user or password in it: they have settings of their own")
    if url.path not in {"", "/"} or "?" in text or "#" in text:
        raise ValueError(f"must have no path, query or fragment, because Mender's API paths are absolute; {right}")
    return _server(url, right)


def parse_collector(text: str) -> Collector:
    """An OTLP/HTTP endpoint, with or without its `/v1/traces`."""
    right = "must be like http://127.0.0.1:4318 or https://collector.example.com/otlp"
    url = _split(text, right)
    if url.scheme not in _DEFAULT_PORTS:
        raise ValueError(right)
    if "@" in url.netloc:
        raise ValueError("must have no user or password in it: Envoy's configuration and this process would show them")
    if "?" in text or "#" in text or not _PATH.fullmatch(url.path):
        raise ValueError(f"must have no query or fragment, and a plain path if any; {right}")
    return Collector(_server(url, right), url.path.rstrip("/").removesuffix("/v1/traces"))


def _split(text: str, right: str) -> SplitResult:
    if not text.isprintable() or " " in text:
        raise ValueError(right)
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError(right) from None


def _server(url: SplitResult, right: str) -> Upstream:
    try:
        host, port = url.hostname, url.port
    except ValueError:
        raise ValueError(right) from None
    if not host or not _is_host(host) or port == 0:
        raise ValueError(right)
    return Upstream(url.scheme, host, port or _DEFAULT_PORTS[url.scheme])


def parse_tls_version(text: str) -> TlsVersion:
    """`1.2` or `1.3`; lower ones are refused."""
    if text in {"1.0", "1.1"}:
        raise ValueError("must be 1.2 or 1.3: RFC 8996 deprecates TLS 1.0 and 1.1, and they are not offered here")
    return parse_choice(TlsVersion)(text)


def parse_choice(choices: type[Choice]) -> Callable[[str], Choice]:
    """A parser for one of an enumeration's values."""

    def parse(text: str) -> Choice:
        try:
            return choices(text.lower())
        except ValueError:
            raise ValueError("must be " + " or ".join(choices)) from None

    return parse


def parse_identity_binding(text: str) -> IdentityBinding:
    """`first-use`, `off`, or a template such as `mac={cn}`."""
    if text.lower() in {BindingMode.FIRST_USE, BindingMode.OFF}:
        return IdentityBinding(BindingMode(text.lower()))
    if "=" not in text:
        raise ValueError("must be first-use, off, or a template such as mac={cn}")
    try:
        parse_template(text)
    except ValueError as error:
        raise ValueError(f"must be first-use, off, or a template such as mac={{cn}}; {error}") from None
    return IdentityBinding(BindingMode.TEMPLATE, text)


def parse_int(low: int, high: int) -> Callable[[str], int]:
    """A parser for a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def parse_percent(text: str) -> float:
    """More than none, up to all: `100`, `0.5`; four decimals count."""
    if re.fullmatch(r"\d{1,3}(\.\d{1,4})?", text, re.ASCII) and 0 < float(text) <= 100:  # noqa: PLR2004 - per cent
        return float(text)
    raise ValueError("must be a number above 0 and up to 100, such as 100 or 0.5")


def parse_seconds(low: float, high: float, why: str = "") -> Callable[[str], float]:
    """A parser for a time: plain seconds (`15`, `2.5`) or as Go writes it (`1m30s`, `500ms`)."""

    def parse(text: str) -> float:
        seconds = _seconds(text)
        if seconds is None or not low <= seconds <= high:
            raise ValueError(f"must be a time from {low:g} to {high:g} seconds, such as {low:g} or 2m{why}")
        return seconds

    return parse


def parse_grace(text: str) -> float:
    """A time as `parse_seconds` takes it, or `forever`."""
    if text == "forever":
        return math.inf
    seconds = _seconds(text)
    if seconds is None:
        raise ValueError("must be `forever`, or a time such as 24h; 0 for none")
    return seconds


def _seconds(text: str) -> float | None:
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    parts = list(_DURATION_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        return None
    return sum(float(part[1]) * _UNIT_SECONDS[part[2]] for part in parts)


def parse_database_url(text: str) -> Secret:
    """An SQLAlchemy URL for PostgreSQL, with the driver this project installs, or SQLite with an absolute path."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415 - slow to import and seldom needed
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - see above

    right = "must be like sqlite:////var/lib/mtls-ambassador/state.db or postgresql://user:password@host/database"
    try:
        url = make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", text))
    except (ArgumentError, ValueError):
        raise ValueError(right) from None
    is_sqlite = url.drivername == "sqlite" and (url.database or "").startswith("/")
    if not is_sqlite and url.drivername != "postgresql+psycopg":
        raise ValueError(right)
    return Secret(url.render_as_string(hide_password=False))
