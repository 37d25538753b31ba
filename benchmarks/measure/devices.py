"""Devices for load: OpenSSL's handshake with a client certificate, no session ever resumed, blocking calls in threads.

Cheap where it costs the measured proxy nothing: devices do not check the server's certificate.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from pathlib import Path

from measure.gateway import Files, validity
from measure.load import Load
from mtls_ambassador.pki.issue import make_device

CALL = (
    b"GET /api/devices/v1/deployments/device/deployments/next?artifact_name=release-1&device_type=qemux86-64"
    b" HTTP/1.1\r\nHost: gateway.example.com\r\nUser-Agent: Mender/5.1.0\r\nAccept: */*\r\n"
    b"Authorization: Bearer " + b"x" * 700 + b"\r\n\r\n"
)
"""As long as a call with Mender's token is."""
DOWNLOAD = b"GET /api/devices/v1/big HTTP/1.1\r\nHost: gateway.example.com\r\n\r\n"
MEGABYTE = 1_000_000
PIECE = 256 * 1024
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices with a certificate each."""

    contexts: tuple[ssl.SSLContext, ...]

    @classmethod
    def make(cls, files: Files, number: int) -> "Devices":
        """So many of them, P-256."""
        contexts = []
        for each in range(number):
            pair = make_device(files.ca, f"device-{each}", validity())
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            path = files.folder / "device.pem"
            path.touch(mode=0o600)
            path.write_bytes(pair.certificate_pem + pair.key_pem)
            context.load_cert_chain(path)
            contexts.append(context)
        return cls(tuple(contexts))

    def fresh(self, port: int, calls: int, at_once: int) -> Load:
        """Each call on a connection of its own, as Mender's C++ client makes them, closed without a close_notify."""
        contexts = cycle(self.contexts)

        def call() -> None:
            with _connected(port, next(contexts)) as connection:
                _exchange(connection)

        return _in_threads([call] * at_once, calls)

    def kept(self, port: int, calls: int, at_once: int) -> Load:
        """Calls on connections that stay open; the handshakes are no part of it."""
        connections = [_connected(port, context) for context in self.contexts[:at_once]]
        try:
            for connection in connections:
                _exchange(connection)
            return _in_threads([partial(_exchange, connection) for connection in connections], calls)
        finally:
            for connection in connections:
                connection.close()

    def download(self, port: int) -> int:
        """One download on a fresh connection; the bytes of its body."""
        piece = bytearray(PIECE)
        with _connected(port, self.contexts[0]) as connection:
            connection.sendall(DOWNLOAD)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(PIECE) or _ended()
            top, _, body = head.partition(b"\r\n\r\n")
            size, got = _length(top), len(body)
            while got < size:
                got += connection.recv_into(piece) or len(_ended())
            return got

    @contextmanager
    def idle(self, port: int, number: int) -> Iterator[None]:
        """Connections that had one call each and now wait."""
        contexts = cycle(self.contexts)
        connections: list[ssl.SSLSocket] = []
        try:
            for _ in range(number):
                connections.append(_connected(port, next(contexts)))
                _exchange(connections[-1])
            yield
        finally:
            for connection in connections:
                connection.close()


def open_port(port: int, log: Path) -> None:
    """Wait until somebody listens; raises RuntimeError with the log when nobody does."""
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"nobody listens on {port}:\n{log.read_text()}")


def _connected(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="localhost")


def _exchange(connection: ssl.SSLSocket) -> None:
    """One call. Raises RuntimeError unless the answer is 200."""
    connection.sendall(CALL)
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + _length(answer[:end]):
        answer += connection.recv(PIECE) or _ended()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a good device was refused: {answer[:200]!r}")


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0])


def _ended() -> bytes:
    raise RuntimeError("the proxy closed a connection before its answer was whole")


def _in_threads(callers: Sequence[Callable[[], object]], calls: int) -> Load:
    """Divide the calls among threads, one for each caller; the first thing that goes wrong in one is raised."""
    load, numbers = Load(), count()
    faults: list[BaseException] = []

    def work(call: Callable[[], object]) -> None:
        try:
            while not faults and next(numbers) < calls:
                began = time.perf_counter()
                call()
                load.waits.append(time.perf_counter() - began)
        except Exception as error:  # noqa: BLE001 - raised below, in the thread that waits
            faults.append(error)

    threads = [threading.Thread(target=work, args=(call,)) for call in callers]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - began
    if faults:
        raise faults[0]
    return load
