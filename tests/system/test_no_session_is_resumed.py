"""Every connection shows its certificate: a session taken up again would skip the look at its dates."""

import socket
import ssl
from pathlib import Path

import pytest

from support.client import PATIENCE, request
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.revocation import becomes, call, crl, serial_of, swap

STATUS = request("/status")


def connect(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bool | None, ssl.SSLSession]:
    """One call on a connection of its own: whether the session was taken up, and the session it leaves behind."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as tls,
    ):
        tls.sendall(STATUS)
        while tls.recv(65536):
            pass  # TLS 1.3 sends its tickets after the handshake: all is read before the session is taken.
        assert tls.session is not None
        return tls.session_reused, tls.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("tickets", [True, False])
async def test_a_second_connection_is_a_full_handshake(
    tmp_path: Path, version: ssl.TLSVersion, *, tickets: bool
) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    context.minimum_version = context.maximum_version = version
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB) as gateway:
        _, session = connect(gateway.port, context, None)
        reused, second = connect(gateway.port, context, session)
        assert not session.has_ticket
        assert not reused
        assert not second.has_ticket


async def test_a_session_from_before_the_revocation_opens_nothing(tmp_path: Path) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    device = pki.device()
    swap(path, crl(pki.ca))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = pki.client_context(device)
        context.minimum_version = context.maximum_version = version
        environ = {"MTLS_CRL_PATH": str(path)}
        async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB, environ=environ) as gateway:
            _, session = connect(gateway.port, context, None)
            swap(path, crl(pki.ca, [serial_of(device)], number=2))
            await becomes(lambda context=context: call(gateway, context), "refused")  # type: ignore[misc]  # bound now
            with pytest.raises((ssl.SSLError, ConnectionError)):
                connect(gateway.port, context, session)
            assert "is in a CRL" in (await gateway.event("handshake refused"))["cause"]
        swap(path, crl(pki.ca, number=3))
