"""What a handshake with a client certificate costs in cryptography alone, and in OpenSSL without any network."""

import datetime as dt
import ssl
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.hashes import SHA256

from measure.devices import Devices
from measure.gateway import Files

TURNS = 300
ROUNDS = 5
_SHA = ec.ECDSA(SHA256())


@dataclass(frozen=True, slots=True)
class Handshake:
    """Microseconds of CPU on the server's side; medians."""

    operations: float
    """A key pair of its own, the shared secret, one signature made and two verified: the client's and its CA's."""
    openssl: float
    """All of OpenSSL's side, from memory to memory."""


def measure(files: Files, devices: Devices) -> Handshake:
    """Both, in turns."""
    operations, openssl = _operations(), _openssl(files, devices.contexts[0])
    found = [(_micros(operations), openssl()) for _ in range(ROUNDS)]
    return Handshake(statistics.median(one for one, _ in found), statistics.median(other for _, other in found))


def _micros(work: Callable[[], object]) -> float:
    began = time.thread_time()
    for _ in range(TURNS):
        work()
    return (time.thread_time() - began) / TURNS * 1e6


def _operations() -> Callable[[], None]:
    key = ec.generate_private_key(ec.SECP256R1())
    public, text = key.public_key(), dt.datetime.now(dt.UTC).isoformat().encode() * 4
    signature, other = key.sign(text, _SHA), x25519.X25519PrivateKey.generate().public_key()

    def once() -> None:
        x25519.X25519PrivateKey.generate().exchange(other)
        key.sign(text, _SHA)
        public.verify(signature, text, _SHA)
        public.verify(signature, text, _SHA)

    return once


def _openssl(files: Files, client: ssl.SSLContext) -> Callable[[], float]:
    server = _server_context(files.folder)

    def average() -> float:
        return sum(_server_seconds(server, client) for _ in range(TURNS)) / TURNS * 1e6

    return average


def _server_context(folder: Path) -> ssl.SSLContext:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "crt.pem", folder / "key.pem")
    server.load_verify_locations(folder / "ca.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    server.num_tickets = 0
    return server


def _server_seconds(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    """CPU of the server's steps of one handshake."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname="localhost")
    used, far = 0.0, None
    for _ in range(4):
        _step(near)
        began = time.thread_time()
        far = far or server.wrap_bio(up, down, server_side=True)
        _step(far)
        used += time.thread_time() - began
    if far is None or not far.getpeercert():
        raise RuntimeError("the handshake did not end")
    return used


def _step(side: ssl.SSLObject) -> None:
    with suppress(ssl.SSLWantReadError):
        side.do_handshake()
