"""Where calls go: the Mender server, the decision service on its Unix socket, and who collects traces."""

from typing import Any

from mtls_ambassador.envoy.material import Material
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.routes import DECISION, UPSTREAM
from mtls_ambassador.envoy.tls import collector_side, is_address, upstream_side
from mtls_ambassador.settings import Collector, Limits, Settings

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
KEEP_ALIVE = "50s"
"""Below the 60 s and more after which load balancers and web servers close an idle connection under us."""
DECISION_CONNECT_TIMEOUT = "1s"
DECISION_CONNECTIONS = 4_096
"""At once to the decision service, however many upstream may have: as many as can wait to be accepted by it."""
TRACES = "traces"
TRACES_CONNECT_TIMEOUT = "1s"
TRACES_CONNECTIONS = 4
"""At once; batches that find none free are dropped, so that a slow collector costs no memory."""


def upstream(settings: Settings, material: Material | None, paths: RuntimePaths, most: int) -> dict[str, Any]:
    """The Mender server: at most `most` HTTP/1.1 keep-alive connections, each checked by TLS when it is https."""
    target = settings.upstream
    cluster = _cluster(UPSTREAM, _socket(target.host, target.port), settings.limits, most)
    cluster |= {
        "connect_timeout": f"{settings.limits.upstream_connect_timeout:g}s",
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4}
        },
    }
    cluster |= {"type": "STATIC"} if is_address(target.host) else _by_name()
    if target.is_tls:
        cluster["transport_socket"] = upstream_side(settings, material, paths)
    return cluster


def decision(settings: Settings, paths: RuntimePaths, machine: Machine) -> dict[str, Any]:
    """The decision service. Fails closed: while it is away its calls are answered 503.

    How many may wait for it has nothing to do with how many connections the Mender server may see: it keeps to that
    by itself (MTLS_ENROL_CONCURRENCY), and what it makes wait would else come again in a minute.
    """
    address = {"pipe": {"path": str(paths.decision_socket)}}
    return _cluster(DECISION, address, settings.limits, decision_connections(machine)) | {
        "type": "STATIC",
        "connect_timeout": DECISION_CONNECT_TIMEOUT,
    }


def decision_connections(machine: Machine) -> int:
    """At once to the decision service, where few files may be open a quarter of them."""
    return min(DECISION_CONNECTIONS, machine.file_limit // 4)


def collector(target: Collector, limits: Limits, machine: Machine) -> dict[str, Any]:
    """Who collects traces: checked by TLS against the system's trust store when it is https."""
    host = target.server.host
    cluster = _cluster(TRACES, _socket(host, target.server.port), limits, TRACES_CONNECTIONS)
    # Devices need not wait until its name resolves.
    cluster |= {"connect_timeout": TRACES_CONNECT_TIMEOUT, "wait_for_warm_on_init": False}
    cluster |= {"type": "STATIC"} if is_address(host) else _by_name()
    if target.server.is_tls:
        cluster["transport_socket"] = collector_side(host, machine.trust_store)
    return cluster


def _by_name() -> dict[str, Any]:
    """All addresses of the name, tried one after another (RFC 8305), asked for again as the answer's lifetime says."""
    dns = {
        "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
        "dns_lookup_family": "ALL",
        "all_addresses_in_single_endpoint": True,
        "respect_dns_ttl": True,
        "dns_refresh_rate": "5s",
        "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "5s"},
    }
    return {"cluster_type": {"name": "dns", "typed_config": dns}}


def _cluster(name: str, address: dict[str, Any], limits: Limits, most: int) -> dict[str, Any]:
    return {
        "name": name,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "per_connection_buffer_limit_bytes": limits.connection_buffer_kb * 1024,
        "circuit_breakers": _bounds(most),
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": KEEP_ALIVE},
            }
        },
    }


def _socket(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _bounds(most: int) -> dict[str, Any]:
    """As many calls wait as may run; more are answered 503, so that an outage cannot pile them up."""
    thresholds = {"max_connections": most, "max_pending_requests": most, "max_requests": 2 * most, "max_retries": most}
    return {"thresholds": [thresholds]}
