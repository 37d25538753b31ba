"""What Envoy is given beside its configuration: certificates, keys, revocation lists, the denylist; each can be changed
while it runs (SDS and ECDS, from files that are replaced by rename).
"""

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtls_ambassador.envoy.denylist import FILTER, DenylistFile, lua_filter
from mtls_ambassador.envoy.place import RuntimePaths

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_EXTENSION_TYPE = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
SERVER = "server"
DEVICES = "devices"
UPSTREAM = "upstream"
FETCH = "10s"
"""Longest wait for a file at the start; it is there before Envoy is."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is in force, as it was read and found good."""

    server_chain: bytes
    """PEM."""
    server_key: bytes = field(repr=False)
    """PEM."""
    authorities: bytes
    """PEM: what device certificates must chain to."""
    denylist: DenylistFile
    crls: Path | None = None
    """PEM: of every one of the authorities; None when the handshake asks no list."""
    upstream_authorities: bytes | None = None
    """PEM; None when upstream is not spoken to by TLS, or not verified."""
    allows_expired: bool = False
    """A device certificate's end does not matter."""
    refuses_cas_between: bool = False
    """There are CRLs, and no authority of the bundle is below another: whom else a root signed for is on no list, so
    that nobody may stand between it and a device, also while the lists are stale and not looked at in the handshake."""


def server_pair(material: Material) -> dict[str, Any]:
    """The certificate shown to devices, and its key."""
    return {"certificate_chain": _inline(material.server_chain), "private_key": _inline(material.server_key)}


def device_trust(material: Material) -> dict[str, Any]:
    """What device certificates are checked with."""
    found: dict[str, Any] = {"trusted_ca": _inline(material.authorities)}
    if material.crls is not None:
        found["crl"] = {"filename": str(material.crls)}
        # Envoy verifies a list's signature anew for each certificate of each chain, the root's own included.
        if material.refuses_cas_between:
            found["only_verify_leaf_cert_crl"] = True
    if material.refuses_cas_between:
        found["max_verify_depth"] = 0
    if material.allows_expired:
        found["allow_expired_certificate"] = True
    return found


def upstream_trust(material: Material, subject: dict[str, Any]) -> dict[str, Any]:
    """What upstream's certificate is checked with, and the name it must have."""
    return {"trusted_ca": _inline(material.upstream_authorities or b""), "match_typed_subject_alt_names": [subject]}


def by_file(path: Path, name: str) -> dict[str, Any]:
    """Where a context gets what may change: a file that is watched."""
    return {"name": name, "sds_config": _watched(path)}


def secret(name: str, content: dict[str, Any]) -> dict[str, Any]:
    """A file's content for `by_file`."""
    return {"resources": [{"@type": f"{_TLS}.Secret", "name": name, **content}]}


def denylist_resource(material: Material) -> dict[str, Any]:
    """The content of the denylist's file."""
    config = {"@type": _EXTENSION_TYPE, "name": FILTER, "typed_config": lua_filter(material.denylist)}
    return {"resources": [config]}


def denylist_source(paths: RuntimePaths) -> dict[str, Any]:
    """Where the listener gets the denylist's filter."""
    return _watched(paths.denylist)


def _watched(path: Path) -> dict[str, Any]:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3", "initial_fetch_timeout": FETCH}


def _inline(content: bytes) -> dict[str, str]:
    return {"inline_bytes": b64encode(content).decode()}
