"""Settings to Envoy's configuration: plain dicts, nothing read, nothing written."""

from pathlib import Path
from typing import Any

from mtls_ambassador.envoy import clusters, listener
from mtls_ambassador.envoy.material import (
    DEVICES,
    SERVER,
    UPSTREAM,
    Material,
    device_trust,
    secret,
    server_pair,
    upstream_trust,
)
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.tls import upstream_subject
from mtls_ambassador.envoy.traces import RUNTIME as TRACES_RUNTIME
from mtls_ambassador.settings import Limits, Settings

RESERVED_FILES = 512 + clusters.DECISION_CONNECTIONS
"""Open files Envoy needs for itself: listeners, event loops, logs, the decision service's connections."""
LEAST_CONNECTIONS = 64
REGEX_SIZE = "re2.max_program_size.error_level"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
LARGEST_REGEX = 1000
"""Envoy refuses patterns past 100 steps, a guard against patterns of strangers; ours are fixed and measured."""


def bootstrap(settings: Settings, paths: RuntimePaths, machine: Machine) -> dict[str, Any]:
    """What Envoy starts with, ready for JSON: the listener, certificates and denylist come from files it watches."""
    lds = {"path_config_source": {"path": str(paths.listeners)}, "resource_api_version": "V3"}
    return _bootstrap(settings, paths, machine, None, []) | {"dynamic_resources": {"lds_config": lds}}


def listeners(settings: Settings, paths: RuntimePaths, machine: Machine, generation: int) -> dict[str, Any]:
    """The content of the listener's file."""
    return {"resources": [{"@type": LISTENER} | listener.devices(settings, paths, machine, None, generation)]}


def whole(settings: Settings, paths: RuntimePaths, machine: Machine, material: Material) -> dict[str, Any]:
    """All of it in one, as Envoy can check it before any part is swapped."""
    return _bootstrap(settings, paths, machine, material, [listener.devices(settings, paths, machine, material)])


def secrets(settings: Settings, paths: RuntimePaths, material: Material) -> dict[Path, dict[str, Any]]:
    """The content of each file with certificates."""
    found = {
        paths.secret(SERVER): secret(SERVER, {"tls_certificate": server_pair(material)}),
        paths.secret(DEVICES): secret(DEVICES, {"validation_context": device_trust(material)}),
    }
    if material.upstream_authorities is not None:
        trust = upstream_trust(material, upstream_subject(settings))
        found[paths.secret(UPSTREAM)] = secret(UPSTREAM, {"validation_context": trust})
    return found


def _bootstrap(
    settings: Settings,
    paths: RuntimePaths,
    machine: Machine,
    material: Material | None,
    static_listeners: list[dict[str, Any]],
) -> dict[str, Any]:
    most = upstream_connections(settings.limits, machine)
    traced = [] if settings.traces is None else [clusters.collector(settings.traces, settings.limits, machine)]
    runtime = {REGEX_SIZE: LARGEST_REGEX} | (TRACES_RUNTIME if settings.traces else {})
    return {
        "node": {"id": "mtls-ambassador", "cluster": "mtls-ambassador"},
        "admin": {"address": {"pipe": {"path": str(paths.admin_socket), "mode": 0o600}}},
        "static_resources": {
            "listeners": static_listeners,
            "clusters": [
                clusters.upstream(settings, material, paths, most),
                clusters.decision(settings, paths, machine),
                *traced,
            ],
        },
        "overload_manager": _overload(device_connections(settings.limits, machine)),
        "layered_runtime": {"layers": [{"name": "fixed", "static_layer": runtime}]},
    }


def device_connections(limits: Limits, machine: Machine) -> int:
    """Device connections accepted at once: the setting, or what the open-file limit leaves when that is less.

    Out of files, Envoy could not even refuse; so the limit on connections must strike first. Too few files are shared
    evenly with the connections upstream, for a WebSocket or a download takes one on each side.
    """
    files = _files(machine)
    return min(limits.max_connections, max(files - limits.upstream_max_connections, files // 2, LEAST_CONNECTIONS))


def upstream_connections(limits: Limits, machine: Machine) -> int:
    """Connections to upstream at once: the setting, or what the devices leave of the open files when that is less."""
    left = _files(machine) - device_connections(limits, machine)
    return min(limits.upstream_max_connections, max(left, LEAST_CONNECTIONS))


def _files(machine: Machine) -> int:
    """Open files for connections of devices and to upstream; where few may be open, half of them."""
    return max(machine.file_limit - RESERVED_FILES, machine.file_limit // 2)


def _overload(connections: int) -> dict[str, Any]:
    kind = "envoy.resource_monitors.global_downstream_max_connections"
    message = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    limit = {"@type": f"type.googleapis.com/{message}", "max_active_downstream_connections": connections}
    return {"resource_monitors": [{"name": kind, "typed_config": limit}]}
