"""Faults to order: what an upstream does on a bad day, switched on by a test or a person. Test-only by nature."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from mtls_ambassador.sandbox.wire import ApiError

TEXTS = {
    401: "unauthorized",
    403: "unauthorized",
    404: "not found",
    429: "too many requests",
    500: "internal error",
    502: "bad gateway",
    503: "service unavailable",
    504: "gateway timeout",
}


class DroppedError(Exception):
    """The connection is gone by order; there is nothing to answer."""


@dataclass(slots=True)
class Fault:
    """One fault; what is not set does not happen."""

    path: str = ""
    """Prefix of the paths it hits; "" means everything under `/api/`. Nothing else is ever hit."""
    method: str = ""
    """"" means every method."""
    latency: float = 0
    """Seconds to wait before anything else."""
    status: int | None = None
    """Answer this instead of what would be right."""
    retry_after: str | None = None
    """The header `Retry-After` of that answer."""
    drop: bool = False
    """Reset the TCP connection instead of answering."""
    after: bool = False
    """Do the work first and spoil the answer only, as when an answer is lost on its way."""
    count: int | None = None
    """How many requests it hits before it is used up; None means until cleared."""
    hits: int = 0
    """How many it has hit."""

    def matches(self, method: str, path: str) -> bool:
        """Whether this request is to be hit."""
        return path.startswith(self.path) and self.method in {"", method} and self.count != 0

    @property
    def ends_request(self) -> bool:
        """Whether it replaces the answer."""
        return self.drop or self.status is not None


class Faults:
    """The faults in force, in the order they were added."""

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force until its count is used up or it is cleared."""
        self.active.append(fault)
        return fault

    def error(self, status: int, path: str = "", *, count: int | None = None, retry_after: str | None = None) -> Fault:
        """Answer `status` in Mender's error shape."""
        return self.add(Fault(path=path, status=status, retry_after=retry_after, count=count))

    def latency(self, seconds: float, path: str = "", *, count: int | None = None) -> Fault:
        """Wait before answering."""
        return self.add(Fault(path=path, latency=seconds, count=count))

    def drop(self, path: str = "", *, count: int | None = None, after: bool = False) -> Fault:
        """Reset the connection before an answer; with `after`, once the work is done."""
        return self.add(Fault(path=path, drop=True, count=count, after=after))

    def remove(self, fault: Fault) -> None:
        """End one fault; ended ones are no error."""
        if fault in self.active:
            self.active.remove(fault)

    def clear(self) -> None:
        """End all faults."""
        self.active.clear()

    def pick(self, method: str, path: str) -> list[Fault]:
        """The faults that hit this request, up to the first that replaces its answer; counts them."""
        return list(self._pick(method, path)) if self.active else []

    def _pick(self, method: str, path: str) -> Iterator[Fault]:
        for fault in list(self.active):
            if fault.matches(method, path):
                fault.hits += 1
                if fault.count is not None:
                    fault.count -= 1
                if fault.count == 0:
                    self.active.remove(fault)
                yield fault
                if fault.ends_request:
                    return


async def strike(request: web.Request, faults: list[Fault], *, after: bool) -> None:
    """Let the faults of one moment (before or after the work) happen; raises ApiError for an error answer."""
    for fault in faults:
        if fault.after is not after:
            continue
        if fault.latency:
            await asyncio.sleep(fault.latency)
        if fault.drop:
            reset(request)
            raise DroppedError
        if fault.status is not None:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            raise ApiError(fault.status, TEXTS.get(fault.status, "ordered fault"), headers)


def reset(request: web.Request) -> None:
    """Close the TCP connection with RST: linger of zero seconds (POSIX `SO_LINGER`)."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
