"""The only builder of TLS contexts: towards devices and towards upstream."""

import ipaddress
from pathlib import Path
from typing import Any

from mtls_ambassador.envoy.material import (
    DEVICES,
    SERVER,
    UPSTREAM,
    Material,
    by_file,
    device_trust,
    server_pair,
    upstream_trust,
)
from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.settings import Settings, TlsVersion

TRANSPORT_SOCKETS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
VERSIONS = {TlsVersion.TLS_1_2: "TLSv1_2", TlsVersion.TLS_1_3: "TLSv1_3"}
SIGNATURE_ALGORITHMS = [
    "ecdsa_secp256r1_sha256",
    "ed25519",
    "rsa_pss_rsae_sha256",
    "ecdsa_secp384r1_sha384",
    "ecdsa_secp521r1_sha512",
    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",
    "rsa_pkcs1_sha256",
    "rsa_pkcs1_sha384",
    "rsa_pkcs1_sha512",
]
"""Envoy leaves out Ed25519, with which Mender 5 makes its keys; naming one means naming all (RFC 8446, 4.2.3)."""


def device_side(settings: Settings, material: Material | None, paths: RuntimePaths) -> dict[str, Any]:
    """TLS towards devices: a client certificate of the tenant CA is required.

    With material it is all in it, to be checked by Envoy; without, it names the files that are watched.
    Fails closed: without a certificate, with one of another CA, revoked, or outside its dates, the handshake ends.
    """
    common: dict[str, Any] = {
        "tls_params": _parameters(VERSIONS[settings.tls_minimum]),
        "alpn_protocols": ["h2", "http/1.1"],
    }
    if material is not None:
        common["tls_certificates"] = [server_pair(material)]
        common["validation_context"] = device_trust(material)
    else:
        common["tls_certificate_sds_secret_configs"] = [by_file(paths.secret(SERVER), SERVER)]
        common["validation_context_sds_secret_config"] = by_file(paths.secret(DEVICES), DEVICES)
    context = {
        "@type": f"{TRANSPORT_SOCKETS}.DownstreamTlsContext",
        "require_client_certificate": True,
        # A resumed session shows no certificate (RFC 8446, 2.2), so that one could be used past its dates.
        "disable_stateless_session_resumption": True,
        "disable_stateful_session_resumption": True,
        "common_tls_context": common,
    }
    return {"name": "tls", "typed_config": context}


def upstream_side(settings: Settings, material: Material | None, paths: RuntimePaths) -> dict[str, Any]:
    """TLS towards upstream: its certificate must chain to the CA and carry its host name or address in the SAN.

    Fails closed, unless `upstream_skip_verify` says that nothing is checked.
    """
    common: dict[str, Any] = {
        "tls_params": _parameters(VERSIONS[TlsVersion.TLS_1_2]),
        "alpn_protocols": ["http/1.1"],
    }
    if not settings.upstream_skip_verify:
        if material is not None:
            common["validation_context"] = upstream_trust(material, upstream_subject(settings))
        else:
            common["validation_context_sds_secret_config"] = by_file(paths.secret(UPSTREAM), UPSTREAM)
    context = {"@type": f"{TRANSPORT_SOCKETS}.UpstreamTlsContext", "common_tls_context": common}
    if not is_address(settings.upstream.host):
        context["sni"] = settings.upstream.host
    return {"name": "tls", "typed_config": context}


def collector_side(host: str, trust_store: Path) -> dict[str, Any]:
    """TLS towards who collects traces. Fails closed: without the right certificate nothing is sent."""
    common = {
        "tls_params": _parameters(VERSIONS[TlsVersion.TLS_1_2]),
        "alpn_protocols": ["http/1.1"],
        "validation_context": {
            "trusted_ca": {"filename": str(trust_store)},
            "match_typed_subject_alt_names": [_subject(host)],
        },
    }
    context = {"@type": f"{TRANSPORT_SOCKETS}.UpstreamTlsContext", "common_tls_context": common}
    if not is_address(host):
        context["sni"] = host
    return {"name": "tls", "typed_config": context}


def upstream_subject(settings: Settings) -> dict[str, Any]:
    """The name or address that upstream's certificate must have."""
    return _subject(settings.upstream.host)


def _subject(host: str) -> dict[str, Any]:
    return {"san_type": "IP_ADDRESS" if is_address(host) else "DNS", "matcher": {"exact": host}}


def is_address(host: str) -> bool:
    """Whether the host is an IP address, which TLS must not send as SNI (RFC 6066 section 3)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parameters(minimum: str) -> dict[str, Any]:
    return {
        "tls_minimum_protocol_version": minimum,
        "tls_maximum_protocol_version": "TLSv1_3",
        "signature_algorithms": SIGNATURE_ALGORITHMS,
    }
