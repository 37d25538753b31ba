"""Devices that call again and again while somebody changes what is in force, and lists to change it with."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from mtls_ambassador.model.revocation import CrlEntry, RevocationReason
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.crl import CrlHead, crl_pem, make_crl
from mtls_ambassador.pki.issue import Pair
from support.client import Answer, ask, parse, request
from support.gateway import Gateway
from support.pki import Files

PATIENCE = 20.0
CALL = "/api/devices/v1/inventory/device/attributes"


def serial_of(files: Files) -> int:
    return x509.load_pem_x509_certificate(files.certificate.read_bytes()).serial_number


async def becomes(ask_it: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Ask again and again until the answer is this one."""
    async with asyncio.timeout(PATIENCE):
        while await ask_it() != wanted:  # noqa: ASYNC110 - what it waits for sends no event
            await asyncio.sleep(0.02)


async def call(gateway: Gateway, context: ssl.SSLContext) -> int | str:
    """Status of a call on a new connection, or `refused` when the handshake fails."""
    try:
        return (await ask(gateway.port, context, request(CALL))).status
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return "refused"


@dataclass(slots=True)
class Line:
    """A connection that stays open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    @asynccontextmanager
    async def to(cls, gateway: Gateway, context: ssl.SSLContext) -> AsyncIterator["Line"]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", gateway.port, ssl=context, server_hostname="localhost"
        )
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def call(self) -> int:
        """Status of one more call on it."""
        return (await self.answer()).status

    async def answer(self) -> Answer:
        self.writer.write(f"GET {CALL} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        answer = parse(head)
        return parse(head + await self.reader.readexactly(int(answer.headers["content-length"])))


@dataclass(slots=True)
class Traffic:
    """Good devices that call all the time, each on new connections and on an open one."""

    calls: int = 0
    failed: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def of(cls, gateway: Gateway, contexts: Iterable[ssl.SSLContext]) -> AsyncIterator["Traffic"]:
        traffic, end = cls(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for context in contexts:
                tasks.create_task(traffic._on_new(gateway, context, end))
                tasks.create_task(traffic._on_open(gateway, context, end))
            yield traffic
            end.set()

    async def _on_new(self, gateway: Gateway, context: ssl.SSLContext, end: asyncio.Event) -> None:
        while not end.is_set():
            self._count(await call(gateway, context))
            await asyncio.sleep(0.005)

    async def _on_open(self, gateway: Gateway, context: ssl.SSLContext, end: asyncio.Event) -> None:
        async with Line.to(gateway, context) as line:
            while not end.is_set():
                self._count(await line.call())
                await asyncio.sleep(0.005)

    def _count(self, status: int | str) -> None:
        self.calls += 1
        if status != 200:
            self.failed.append(str(status))


def crl(ca: Pair, serials: Iterable[int] = (), *, days: float = 7, age: float = 0.5, number: int = 1) -> bytes:
    """A CA's revocation list in PEM, made `age` days ago and good for `days` more."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    head = CrlHead(number, now - dt.timedelta(days=age), now + dt.timedelta(days=days))
    reason = RevocationReason.KEY_COMPROMISE
    entries = [CrlEntry(serial, reason, head.this_update, None) for serial in sorted(serials)]
    certificate = x509.load_pem_x509_certificate(ca.certificate_pem)
    return crl_pem(make_crl(Authority("ca", certificate, (), ca.key), head, entries).der)


def swap(path: Path, content: bytes) -> None:
    """Replace a file by rename."""
    staged = path.with_name(f"{path.name}.staged")
    staged.write_bytes(content)
    staged.replace(path)
