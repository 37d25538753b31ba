"""The only builder of TLS contexts: towards devices and towards upstream."""

import ipaddress
from typing import Any

from mtls_ambassador.envoy.place import Machine
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


def device_side(settings: Settings) -> dict[str, Any]:
    """TLS towards devices: a client certificate of the tenant CA is required.

    Fails closed: without one, with one of another CA, or outside its dates, the handshake ends.
    """
    context = {
        "@type": f"{TRANSPORT_SOCKETS}.DownstreamTlsContext",
        "require_client_certificate": True,
        # A resumed session shows no certificate (RFC 8446, 2.2), so that one could be used past its dates.
        "disable_stateless_session_resumption": True,
        "disable_stateful_session_resumption": True,
        "common_tls_context": {
            "tls_params": _parameters(VERSIONS[settings.tls_minimum]),
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": str(settings.server_certificate)},
                    "private_key": {"filename": str(settings.server_key)},
                }
            ],
            "validation_context": {"trusted_ca": {"filename": str(settings.tenant_ca)}},
        },
    }
    return {"name": "tls", "typed_config": context}


def upstream_side(settings: Settings, machine: Machine) -> dict[str, Any]:
    """TLS towards upstream: its certificate must chain to the CA and carry its host name or address in the SAN.

    Fails closed, unless `upstream_skip_verify` says that nothing is checked.
    """
    common: dict[str, Any] = {
        "tls_params": _parameters(VERSIONS[TlsVersion.TLS_1_2]),
        "alpn_protocols": ["http/1.1"],
    }
    if not settings.upstream_skip_verify:
        common["validation_context"] = {
            "trusted_ca": {"filename": str(settings.upstream_ca or machine.trust_store)},
            "match_typed_subject_alt_names": [_subject(settings.upstream.host)],
        }
    context = {"@type": f"{TRANSPORT_SOCKETS}.UpstreamTlsContext", "common_tls_context": common}
    if not is_address(settings.upstream.host):
        context["sni"] = settings.upstream.host
    return {"name": "tls", "typed_config": context}


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


def _subject(host: str) -> dict[str, Any]:
    return {"san_type": "IP_ADDRESS" if is_address(host) else "DNS", "matcher": {"exact": host}}
