"""Devices that call all the time: good ones, new ones, denied ones and strangers. Each call is written down."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from mtls_ambassador.pki.issue import Pair, make_ca, make_device
from mtls_ambassador.sandbox.device_wire import AUTH_PATH, INVENTORY_PATH, make_auth_request
from support.client import Answer, ask, parse, request
from support.pki import Files, Pki, validity
from torture.history import Call, Kind, Role

PATIENCE = 6.0
"""Seconds a device waits for an answer."""
PAUSE = 0.1
NEXT_NEW = 0.3
"""Seconds from one new device to the next one."""
MOST_WAITING = 8
"""New devices that wait to be let in, at once."""
AGAIN = 0.4
"""Seconds after which a new device that was put off asks again."""
BODY = json.dumps([{"name": "site", "value": "line 7"}]).encode()


@dataclass(slots=True)
class Client:
    """One device: its certificate as TLS shows it, and the token it was given."""

    name: str
    role: Role
    context: ssl.SSLContext
    pair: Pair
    """Signs its auth requests."""
    token: str = field(default="", repr=False)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def mark(self) -> str:
        """A request id that says whose it is; the gateway hands it on, to the calls it makes itself too."""
        return f"X-MEN-RequestID: {self.name}.{next(self._numbers)}"

    def auth_request(self) -> bytes:
        """Ask to be let in."""
        made = make_auth_request({"mac": self.name}, self.pair.key)
        headers = ("Content-Type: application/json", f"X-MEN-Signature: {made.signature}", self.mark)
        return request(AUTH_PATH, *headers, method="POST", body=made.body)

    def call(self) -> bytes:
        """Send the inventory."""
        headers = ("Content-Type: application/json", f"Authorization: Bearer {self.token}", self.mark)
        return request(INVENTORY_PATH, *headers, method="PUT", body=BODY)


@dataclass(slots=True)
class Traffic:
    """All devices before one gateway, and what they saw."""

    port: int
    pki: Pki
    calls: list[Call] = field(default_factory=list)
    roles: dict[str, Role] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    """New devices that are not let in yet."""
    _clients: dict[str, Client] = field(default_factory=dict)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _brings_new: bool = True

    def add(self, name: str, role: Role, files: Files | None = None) -> Client:
        """A device of the gateway's CA, unless `files` are those of another one."""
        pair = make_device(self.pki.ca, name, validity())
        shown = files or Files.write(self.pki.folder, name, pair)
        self.roles[name] = role
        self._clients[name] = client = Client(name, role, self._context(shown), pair)
        return client

    def add_stranger(self, name: str, *, certified: bool) -> None:
        """A device with a certificate of a CA that has our CA's name, or with none."""
        client = self.add(name, Role.STRANGER)
        other = make_device(make_ca("Test CA", validity()), name, validity()) if certified else None
        files = Files.write(self.pki.folder, f"{name}-shown", other) if other else None
        client.context = self._context(files)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All devices call until the block ends; those already there first get their tokens."""
        for client in self.of(Role.GOOD):
            await self._let_in(client)
        async with asyncio.TaskGroup() as tasks:
            for number, client in enumerate(self.of(Role.GOOD)):
                tasks.create_task((self._call_anew, self._call_on, self._ask_again)[number % 3](client))
            for client in self.of(Role.DENIED, Role.STRANGER):
                tasks.create_task(self._knock(client))
            tasks.create_task(self._bring_new(tasks))
            try:
                yield
            finally:
                self._ended.set()

    def of(self, *roles: Role) -> list[Client]:
        """The devices of these roles."""
        return [client for client in self._clients.values() if client.role in roles]

    def bring_no_more(self) -> None:
        """No new device from now on; those that wait go on asking."""
        self._brings_new = False

    def _context(self, shown: Files | None) -> ssl.SSLContext:
        """TLS as a device speaks it; not by the CA's file, which a scenario may have swapped."""
        context = ssl.create_default_context(cadata=self.pki.ca.certificate_pem.decode())
        if shown:
            context.load_cert_chain(shown.certificate, shown.key)
        return context

    async def _let_in(self, client: Client) -> None:
        """As good devices were before: enrolled, with a token."""
        answer = await ask(self.port, client.context, client.auth_request())
        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
            raise RuntimeError(f"{client.name} cannot enrol before any fault: {answer}")
        client.token = answer.body.decode()

    async def _call_anew(self, client: Client) -> None:
        """A new connection for each call, as the C++ client makes it."""
        while not self._ended.is_set():
            await self._once(client, Kind.CALL)
            await asyncio.sleep(PAUSE / 2)

    async def _call_on(self, client: Client) -> None:
        """One connection for all calls, as the Go client keeps it; a new one when that is gone."""
        line: _Line | None = None
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    line = line or await _Line.to(self.port, client.context)
                    answer = await line.ask(client.call().replace(b"Connection: close\r\n", b""))
                self._note(client, Kind.CALL, began, answer)
            except (OSError, EOFError, TimeoutError) as error:
                self._note(client, Kind.CALL, began, error)
                if line:
                    line.close()
                line = None
            await asyncio.sleep(PAUSE / 2)
        if line:
            line.close()

    async def _ask_again(self, client: Client) -> None:
        """A device that asks for a new token, and uses it."""
        while not self._ended.is_set():
            await self._once(client, Kind.AUTH)
            await self._once(client, Kind.CALL)
            await asyncio.sleep(PAUSE)

    async def _knock(self, client: Client) -> None:
        """Somebody who must not come in tries both ways."""
        while not self._ended.is_set():
            await self._once(client, Kind.CALL)
            await self._once(client, Kind.AUTH)
            await asyncio.sleep(3 * PAUSE)

    async def _bring_new(self, tasks: asyncio.TaskGroup) -> None:
        for number in count(1):
            if self._ended.is_set():
                return
            if self._brings_new and len(self.waiting) < MOST_WAITING:
                tasks.create_task(self._enrol(self.add(f"new-{number}", Role.NEW)))
            await asyncio.sleep(NEXT_NEW)

    async def _enrol(self, client: Client) -> None:
        self.waiting.add(client.name)
        while not self._ended.is_set():
            if await self._once(client, Kind.AUTH):
                self.waiting.discard(client.name)
                return
            await asyncio.sleep(AGAIN)

    async def _once(self, client: Client, kind: Kind) -> bool:
        data = client.auth_request() if kind is Kind.AUTH else client.call()
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await ask(self.port, client.context, data)
        except (OSError, EOFError, TimeoutError) as error:
            return self._note(client, kind, began, error)
        if kind is Kind.AUTH and answer.status == 200:  # noqa: PLR2004 - HTTP's OK
            client.token = answer.body.decode()
        return self._note(client, kind, began, answer)

    def _note(self, client: Client, kind: Kind, began: float, came: Answer | Exception) -> bool:
        ended = time.monotonic()
        if isinstance(came, Answer):
            is_told = came.headers.get("retry-after", "").isdecimal()
            call = Call(client.name, kind, began, ended, came.status, is_told)
        else:
            call = Call(client.name, kind, began, ended, None, error=_word(came))
        self.calls.append(call)
        return call.is_ok


@dataclass(frozen=True, slots=True)
class _Line:
    """A connection that stays open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def to(cls, port: int, context: ssl.SSLContext) -> "_Line":
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost"))

    async def ask(self, data: bytes) -> Answer:
        self.writer.write(data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        answer = parse(head)
        body = await self.reader.readexactly(int(answer.headers.get("content-length", "0")))
        if answer.headers.get("connection", "").lower() == "close":
            self.writer.transport.abort()
        return Answer(answer.status, answer.headers, body)

    def close(self) -> None:
        self.writer.transport.abort()


def _word(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return "handshake refused"
    return "connection refused" if isinstance(error, ConnectionRefusedError) else "connection lost"
