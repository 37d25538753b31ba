"""The device listener: TLS, the limits of a hardened edge, and what is taken out of a request before anything reads it.

Follows Envoy's "Configuring Envoy as an edge proxy".
"""

from typing import Any

from mtls_ambassador.envoy.call_counters import per_call
from mtls_ambassador.envoy.denylist import FILTER, LUA_TYPE, METADATA, lua_filter
from mtls_ambassador.envoy.material import Material, denylist_source
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.replies import local_replies
from mtls_ambassador.envoy.routes import REQUEST_ID_HEADER, virtual_host, whole_request
from mtls_ambassador.envoy.tls import device_side
from mtls_ambassador.envoy.traces import FORGEABLE as FORGED_TRACES
from mtls_ambassador.envoy.traces import tracing
from mtls_ambassador.settings import Settings

TYPES = "type.googleapis.com/envoy.extensions"
DEVICES = "devices"
"""The listener's name, and the prefix of its statistics."""
HANDSHAKE_KEY = "refused_handshake"
"""The key by which a line of Envoy's standard output is known as a refused handshake."""
DENIED_KEY = "denied_call"
"""The same of a call that the denylist refused."""
CONNECTION_KEY = "connection"
"""The same of a connection that has ended, whose handshake was good; its value is nothing."""

FORGEABLE = (
    "x-forwarded-.*|forwarded|x-real-ip|x-client-ip|true-client-ip|x-envoy-.*|client-cert|client-cert-chain"
    "|x-client-cert.*|x-ssl-.*|ssl-client-.*|x-mtls-.*|x-original-url|x-rewrite-url"
)
"""Headers by which proxies tell servers who is calling: from a device they are lies (RFC 7239, RFC 9440)."""

HTTP2_STREAMS = 100
HTTP2_STREAM_WINDOW = 64 * 1024
HTTP2_CONNECTION_WINDOW = 1024 * 1024


def devices(
    settings: Settings, paths: RuntimePaths, machine: Machine, material: Material | None, generation: int = 0
) -> dict[str, Any]:
    """The one listener of the data plane; with material, all in one, to be checked.

    Another generation makes Envoy close the connections of the one before, once the drain time is over.
    """
    limits = settings.limits
    chain = {
        "name": f"{DEVICES}-{generation}",
        "filters": [{"name": "http", "typed_config": _http(settings, paths, material)}],
        "transport_socket": device_side(settings, material, paths),
        "transport_socket_connect_timeout": f"{limits.handshake_timeout:g}s",
    }
    return {
        "name": DEVICES,
        "stat_prefix": DEVICES,
        "address": {"socket_address": _address(settings, machine)},
        "per_connection_buffer_limit_bytes": limits.connection_buffer_kb * 1024,
        "filter_chains": [chain],
        "access_log": [_refused_handshakes(), _connections()],
    }


def _address(settings: Settings, machine: Machine) -> dict[str, Any]:
    listen = settings.listen
    if listen.host:
        return {"address": listen.host, "port_value": listen.port}
    if machine.has_ipv6:
        return {"address": "::", "ipv4_compat": True, "port_value": listen.port}
    return {"address": "0.0.0.0", "port_value": listen.port}  # noqa: S104 - "every address" is what was asked for


def _denylist(paths: RuntimePaths, material: Material | None) -> dict[str, Any]:
    if material is not None:
        return {"name": FILTER, "typed_config": lua_filter(material.denylist)}
    return {"name": FILTER, "config_discovery": {"config_source": denylist_source(paths), "type_urls": [LUA_TYPE]}}


def _http(settings: Settings, paths: RuntimePaths, material: Material | None) -> dict[str, Any]:
    limits = settings.limits
    return {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": DEVICES,
        "http_filters": [
            _denylist(paths, material),
            whole_request(),
            {"name": "router", "typed_config": _router()},
        ],
        "access_log": [_denied_calls(), per_call()],
        "route_config": {"name": DEVICES, "virtual_hosts": [virtual_host(settings)]},
        "local_reply_config": local_replies(),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "max_request_headers_kb": limits.max_header_kb,
        "request_headers_timeout": f"{limits.header_timeout:g}s",
        "stream_idle_timeout": f"{limits.stream_idle_timeout:g}s",
        "common_http_protocol_options": {
            "idle_timeout": f"{limits.idle_timeout:g}s",
            # Dropped, not refused: `x_ssl_client` must not pass for `x-ssl-client`, yet a fleet cannot be changed.
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": settings.upstream.authority},
        "http2_protocol_options": {
            "max_concurrent_streams": HTTP2_STREAMS,
            "initial_stream_window_size": HTTP2_STREAM_WINDOW,
            "initial_connection_window_size": HTTP2_CONNECTION_WINDOW,
        },
        **_who_is_calling(settings),
        **_one_meaning_per_path(),
        "server_header_transformation": "PASS_THROUGH",
        "generate_request_id": False,
        **tracing(settings),
    }


def _who_is_calling(settings: Settings) -> dict[str, Any]:
    """The device's address and certificate come from its connection; whatever it says about them is removed."""
    forgeable = f"{FORGEABLE}|{FORGED_TRACES}" if settings.traces else FORGEABLE
    mutations = [
        {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": forgeable}}}},
        # Set here, for Envoy's own way names the gateway in place of a device on the loopback address.
        _append("x-forwarded-for", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
        _append(REQUEST_ID_HEADER, "%UNIQUE_ID%"),
    ]
    kind = f"{TYPES}.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "early_header_mutation_extensions": [
            {"name": "forged", "typed_config": {"@type": kind, "mutations": mutations}},
        ],
        "use_remote_address": True,
        "skip_xff_append": True,
        "forward_client_cert_details": "SANITIZE",
    }


def _append(name: str, value: str) -> dict[str, Any]:
    return {"append": {"header": {"key": name, "value": value}, "append_action": "ADD_IF_ABSENT"}}


def _one_meaning_per_path() -> dict[str, Any]:
    """A path must mean to upstream what it means here, or a call could pass the decision by."""
    return {
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
    }


def _router() -> dict[str, Any]:
    return {"@type": f"{TYPES}.filters.http.router.v3.Router", "suppress_envoy_headers": True}


def _refused_handshakes() -> dict[str, Any]:
    """One JSON line on standard output per handshake that failed."""
    fields = {
        HANDSHAKE_KEY: "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
        "certificate": "%DOWNSTREAM_PEER_CERT%",
    }
    return _to_stdout("handshakes", _if("connection.transport_failure_reason != ''"), fields)


def _connections() -> dict[str, Any]:
    """One JSON line per connection that has ended, however many calls it had: who was there, and when last.

    One without a certificate ended before its handshake failed: the other side hung up.
    """
    return _to_stdout("connections", _if("!has(connection.transport_failure_reason)"), {CONNECTION_KEY: ""})


def _if(expression: str) -> dict[str, Any]:
    kind = f"{TYPES}.access_loggers.filters.cel.v3.ExpressionFilter"
    return {"extension_filter": {"name": "if", "typed_config": {"@type": kind, "expression": expression}}}


def _denied_calls() -> dict[str, Any]:
    """One JSON line per call of a denied certificate."""
    denied = {"filter": METADATA, "path": [{"key": "denied"}], "value": {"present_match": True}}
    only = {"metadata_filter": {"matcher": denied, "match_if_key_not_found": False}}
    return _to_stdout("denied", only, {DENIED_KEY: f"%DYNAMIC_METADATA({METADATA}:denied)%"})


def _to_stdout(name: str, only: dict[str, Any], reason: dict[str, str]) -> dict[str, Any]:
    fields = reason | {
        "address": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "serial": "%DOWNSTREAM_PEER_SERIAL%",
        "subject": "%DOWNSTREAM_PEER_SUBJECT%",
        "issuer": "%DOWNSTREAM_PEER_ISSUER%",
        "fingerprint": "%DOWNSTREAM_PEER_FINGERPRINT_256%",
        "tls": "%DOWNSTREAM_TLS_VERSION%",
    }
    return {
        "name": name,
        "filter": only,
        "typed_config": {
            "@type": f"{TYPES}.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": fields},
        },
    }
