"""Certificates and keys as files give them, checked before Envoy sees them."""

from pathlib import Path

from cryptography import x509

from mtls_ambassador.envoy.place import Machine
from mtls_ambassador.flows.input_files import read_input
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.finding import Level
from mtls_ambassador.pki.inspect import inspect_key
from mtls_ambassador.pki.pem import read_pem
from mtls_ambassador.settings import Settings

Authorities = tuple[x509.Certificate, ...]


def read_authorities(settings: Settings) -> tuple[bytes, Authorities]:
    """The CA bundle. Raises AmbassadorError unless it holds certificates, and all of them can be read."""
    return _read_certificates(settings.tenant_ca, "MTLS_TENANT_CA_PEM")


def read_server_pair(settings: Settings) -> tuple[bytes, bytes]:
    """The certificate shown to devices with its chain, and its key. Raises AmbassadorError unless they go together."""
    chain, certificates = _read_certificates(settings.server_certificate, "MTLS_SERVER_CERT")
    key = read_input(settings.server_key, "MTLS_SERVER_KEY")
    found = inspect_key(certificates, key)
    if found.level is Level.FAIL:
        raise AmbassadorError(f"MTLS_SERVER_KEY: {settings.server_key}: {found.seen}; {found.right}")
    return chain, key


def _read_certificates(path: Path, setting: str) -> tuple[bytes, Authorities]:
    content = read_input(path, setting)
    pem = read_pem(content)
    if pem.errors or not pem.certificates:
        raise AmbassadorError(f"{setting}: {path}: {pem.errors[0] if pem.errors else 'holds no PEM certificate'}")
    return content, pem.certificates


def read_upstream_authorities(settings: Settings, machine: Machine) -> bytes | None:
    """What upstream's certificate must chain to; None when it has none or nothing is verified."""
    if not settings.upstream.is_tls or settings.upstream_skip_verify:
        return None
    if settings.upstream_ca is None:
        return read_input(machine.trust_store, "the system's trust store")
    content = read_input(settings.upstream_ca, "MTLS_MENDER_CERT")
    if not read_pem(content).certificates:
        raise AmbassadorError(f"MTLS_MENDER_CERT: {settings.upstream_ca}: holds no readable PEM certificate")
    return content
