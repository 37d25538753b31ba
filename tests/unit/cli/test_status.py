"""`status` asked at the wrong port says which port it may be."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mtls_ambassador.cli import main
from support.pki import Pki


@contextmanager
def answering(context: ssl.SSLContext | None) -> Iterator[str]:
    """The address of a listener that speaks TLS, or without `context` reads and closes; for one connection."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            if context is None:
                connection.recv(4096)
            else:
                context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join()


@pytest.mark.parametrize("tls", [True, False])
def test_the_port_of_the_devices_is_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, tls: bool) -> None:
    context = None
    if tls:
        server = Pki(tmp_path).server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.certificate, server.key)
    with answering(context) as address:
        assert main(["status", "--admin", address]) == 1
    said = capsys.readouterr().err
    assert f"{address} does not speak plain HTTP" in said
    assert "MTLS_LISTEN" in said
    assert "MTLS_ADMIN_LISTEN" in said


def test_nobody_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert main(["status", "--admin", address]) == 1
    assert f"no gateway answers at {address}" in capsys.readouterr().err
