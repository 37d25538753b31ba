"""The TLS side of a simulated device."""

import ssl
import tempfile

from mtls_ambassador.pki.issue import Pair
from mtls_ambassador.sandbox.device_values import DeviceConfig


def client_context(config: DeviceConfig) -> ssl.SSLContext:
    """A TLS context with the device's certificate. X.509 v1 and CN-only certificates pass, as in Mender's clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = config.tls_minimum
    context.maximum_version = config.tls_maximum
    context.check_hostname = config.check_hostname
    context.hostname_checks_common_name = True
    if config.ca_pem:
        context.load_verify_locations(cadata=config.ca_pem.decode())
    else:
        context.load_default_certs()
    if config.pair is not None:
        _load_pair(context, config.pair, config.chain_pem)
    return context


def _load_pair(context: ssl.SSLContext, pair: Pair, chain_pem: bytes) -> None:
    """Python's ssl reads client certificates only from files: one of mode 0600 that is gone right after."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(pair.key_pem + pair.certificate_pem + chain_pem)
        file.flush()
        context.load_cert_chain(file.name)
