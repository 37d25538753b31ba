"""The TLS side of a simulated device."""

import asyncio
import contextlib
import ssl
import tempfile

from yarl import URL

from mtls_ambassador.pki.issue import Pair
from mtls_ambassador.sandbox.device_values import DeviceConfig

ALERT_SECONDS = 1.0


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


async def find_alert(config: DeviceConfig, context: ssl.SSLContext) -> ssl.SSLError | None:
    """Connect once more, send nothing, and see what alert comes; None when none comes within a second.

    In TLS 1.3 a server refuses a client after the client thinks itself connected (RFC 8446 section 4.4.2.4). A request
    that is under way by then makes its TCP answer with a reset, which can overtake the alert.
    """
    url = URL(config.url)
    name = config.server_hostname or url.host
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ALERT_SECONDS):
            try:
                reader, writer = await asyncio.open_connection(url.host, url.port, ssl=context, server_hostname=name)
                try:
                    await reader.read(1)
                finally:
                    writer.transport.abort()
            except ssl.SSLError as error:
                return error
    return None
