"""What is wrong, or should be said, about settings that are each fine but not together."""

import importlib.util
import ipaddress
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from mtls_ambassador.settings.values import BindingMode, Collector, Listen, Upstream

_WAYS = (
    "give MTLS_MENDER_USER and MTLS_MENDER_PASS (or MTLS_MENDER_PASS_FILE), or MTLS_MENDER_TOKEN (or "
    "MTLS_MENDER_TOKEN_FILE), or Features.mTLS.MenderUsername and MenderPassword in the configuration file"
)


def consistency_faults(values: Mapping[str, Any], origins: Mapping[str, str], broken: AbstractSet[str]) -> list[str]:
    """Faults of settings taken together; `broken` fields have had their own fault already."""
    faults = []
    if not {"upstream"} & (broken | values.keys()):
        faults.append(
            "no Mender server is given: set MTLS_MENDER_BACKEND (or UPSTREAM_SERVER_URL), such as "
            "https://hosted.mender.io"
        )
    if not {"mender_user", "mender_password", "mender_token"} & broken:
        faults += _credential_faults(values, origins)
    listen, admin = values.get("listen"), values.get("admin_listen")
    if isinstance(listen, Listen) and isinstance(admin, Listen) and _collide(listen, admin):
        faults.append(
            f"{_origin(origins, 'listen', 'MTLS_LISTEN')} ({listen}) and "
            f"{_origin(origins, 'admin_listen', 'MTLS_ADMIN_LISTEN')} ({admin}) need different ports"
        )
    if "traces" in values and not _can_trace():
        faults.append(
            f"{origins['traces']}: traces need packages that are not installed: pip install 'mtls-ambassador[traces]'"
        )
    return faults + _admin_faults(values, origins)


def _can_trace() -> bool:
    """Whether the packages are there; they are only looked for."""
    try:
        names = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
        return all(importlib.util.find_spec(name) for name in names)
    except ModuleNotFoundError:
        return False


def _admin_faults(values: Mapping[str, Any], origins: Mapping[str, str]) -> list[str]:
    """Settings of the admin listener that go together."""
    pairs = (
        ("admin_certificate", "MTLS_ADMIN_TLS_CERT", "admin_key", "MTLS_ADMIN_TLS_KEY"),
        ("admin_user_header", "MTLS_ADMIN_USER_HEADER", "admin_proxies", "MTLS_ADMIN_PROXIES"),
    )
    return [
        f"{origins[given]}: goes with {name}, which is not set"
        for one, one_name, other, other_name in pairs
        for given, missing, name in ((one, other, other_name), (other, one, one_name))
        if given in values and missing not in values
    ]


def _credential_faults(values: Mapping[str, Any], origins: Mapping[str, str]) -> list[str]:
    user, password, token = (name in values for name in ("mender_user", "mender_password", "mender_token"))
    if token and (user or password):
        given = [origins[name] for name in ("mender_token", "mender_user", "mender_password") if name in values]
        return [f"{' and '.join(given)}: both a token and a user or password are given; keep one way to log in"]
    if user and not password:
        return [f"{origins['mender_user']}: a user without a password; {_WAYS}"]
    if password and not user:
        return [f"{origins['mender_password']}: a password without a user; {_WAYS}"]
    return [] if token or user else [f"no credentials for the Mender server: {_WAYS}"]


def _collide(one: Listen, other: Listen) -> bool:
    return one.port == other.port and (one.host == other.host or not one.host or not other.host)


def consistency_warnings(values: Mapping[str, Any], origins: Mapping[str, str]) -> list[str]:
    """What works, but should be known to whoever chose it."""
    upstream, binding, admin = (values.get(name) for name in ("upstream", "identity_binding", "admin_listen"))
    skip = values.get("upstream_skip_verify") is True
    warnings = []
    if isinstance(upstream, Upstream) and not upstream.is_tls:
        warnings.append(f"{origins['upstream']}: plain http: logins and device tokens go over the wire unprotected")
    if skip:
        warnings.append(
            f"{origins['upstream_skip_verify']}: the Mender server's certificate is not checked: whoever is on the "
            "way can read the login; give its CA by MTLS_MENDER_CERT instead"
        )
    if skip and "upstream_ca" in values:
        warnings.append(f"{origins['upstream_ca']}: has no effect, because {origins['upstream_skip_verify']} is on")
    if values.get("skip_client_expiry") is True:
        warnings.append(
            f"{origins['skip_client_expiry']}: expired device certificates are let in, whoever found one included;"
            " renew them and unset it"
        )
    traces = values.get("traces")
    if isinstance(traces, Collector) and not (traces.server.is_tls or _is_this_machine(traces.server.host)):
        warnings.append(f"{origins['traces']}: plain http: who called when goes over the wire unprotected")
    if binding is not None and binding.mode is BindingMode.OFF:
        warnings.append(f"{origins['identity_binding']}: off: any certified device may claim any identity")
    if isinstance(admin, Listen) and not _is_loopback(admin.host) and "admin_certificate" not in values:
        warnings.append(
            f"{origins['admin_listen']}: {admin} can be reached from other machines without TLS: page and API are off,"
            " metrics and health can be read by all; set MTLS_ADMIN_TLS_CERT, MTLS_ADMIN_TLS_KEY and MTLS_ADMIN_USERS"
        )
    return warnings


def _is_this_machine(host: str) -> bool:
    try:
        return _is_loopback(host)
    except ValueError:
        return host == "localhost"


def _is_loopback(host: str) -> bool:
    return bool(host) and ipaddress.ip_address(host).is_loopback


def _origin(origins: Mapping[str, str], field: str, name: str) -> str:
    return name if origins.get(field) == "default" else origins.get(field, name)
