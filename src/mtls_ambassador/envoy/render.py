"""Settings to Envoy's configuration: plain dicts, nothing read, nothing written."""

from typing import Any

from mtls_ambassador.envoy import clusters, listener
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.settings import Limits, Settings

RESERVED_FILES = 512 + clusters.DECISION_CONNECTIONS
"""Open files Envoy needs for itself: listeners, event loops, logs, the decision service's connections."""
LEAST_CONNECTIONS = 64
REGEX_SIZE = "re2.max_program_size.error_level"
LARGEST_REGEX = 1000
"""Envoy refuses patterns past 100 steps, a guard against patterns of strangers; ours are fixed and measured."""


def render(settings: Settings, paths: RuntimePaths, machine: Machine | None = None) -> dict[str, Any]:
    """The whole configuration of Envoy, ready for JSON."""
    machine = machine or Machine()
    most = upstream_connections(settings.limits, machine)
    return {
        "node": {"id": "mtls-ambassador", "cluster": "mtls-ambassador"},
        "admin": {"address": {"pipe": {"path": str(paths.admin_socket), "mode": 0o600}}},
        "static_resources": {
            "listeners": [listener.devices(settings, machine)],
            "clusters": [clusters.upstream(settings, machine, most), clusters.decision(settings, paths, most)],
        },
        "overload_manager": _overload(device_connections(settings.limits, machine)),
        "layered_runtime": {"layers": [{"name": "fixed", "static_layer": {REGEX_SIZE: LARGEST_REGEX}}]},
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
