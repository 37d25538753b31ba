"""What Envoy prints, as lines of our log: refused handshakes in plain words, its own messages with their level."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from mtls_ambassador.envoy.listener import CONNECTION_KEY, DENIED_KEY, HANDSHAKE_KEY
from mtls_ambassador.model.refusal import CallCause, HandshakeCause

WINDOW = 1.0
LINES_PER_WINDOW = 20
LONGEST_TEXT = 1024
"""Characters of a line that is handed on as it is."""
LONGEST_NAME = 256
"""Characters of a name in a line: strangers choose theirs, up to 100 kB. The ledger has more."""
_CONNECTION = f'"{CONNECTION_KEY}":'.encode()
_READ = HANDSHAKE_KEY.encode(), DENIED_KEY.encode()


@dataclass(slots=True)
class _Window:
    """Lines of one kind within a second."""

    event: str
    lines: int = 0
    unnamed: Counter[str] = field(default_factory=Counter)


class RefusalLog:
    """Lines of Envoy's standard output: connections, refused handshakes, denied calls, and texts handed on as they are.

    Anyone can make handshakes fail, so that each second has only so many lines of its own; the rest of that second is
    one line of counts, and none is lost.
    """

    def __init__(self, later: Callable[[float, Callable[[], None]], object], send: Callable[[bytes], None]) -> None:
        """Take `later(seconds, call)`, which calls `call` after that time, and where lines for the ledger go."""
        self._later, self._send = later, send
        self._handshakes, self._calls = _Window("handshakes"), _Window("calls")

    def read(self, line: bytes) -> None:
        """One line."""
        if _CONNECTION in line and not any(key in line for key in _READ):
            self._send(line)  # unread: there is one of each connection
            return
        try:
            fields = json.loads(line)
            if HANDSHAKE_KEY in fields:
                found = HandshakeCause.of(str(fields[HANDSHAKE_KEY]))
                self._tell(self._handshakes, "handshake refused", found.code, found.text, fields)
            else:
                denial = CallCause.of(str(fields[DENIED_KEY]))
                self._tell(self._calls, "call refused", denial.code, denial.text, fields)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            structlog.get_logger().info("envoy says", text=line.decode(errors="replace").rstrip()[:LONGEST_TEXT])
        else:
            self._send(line)

    def _tell(self, window: _Window, event: str, code: str, why: str, fields: dict[str, Any]) -> None:
        if window.lines == 0:
            self._later(WINDOW, lambda: self._end(window))
        window.lines += 1
        if window.lines > LINES_PER_WINDOW:
            window.unnamed[why] += 1
            return
        told = {
            key: str(fields[key])[:LONGEST_NAME]
            for key in ("address", "serial", "subject", "issuer")
            if fields.get(key)
        }
        structlog.get_logger().warning(event, reason=code, cause=why, **told)

    def _end(self, window: _Window) -> None:
        """Say how many more there were, and begin anew."""
        if window.unnamed:
            counts = dict(window.unnamed.most_common())
            text = f"more {window.event} refused"
            structlog.get_logger().warning(text, count=window.unnamed.total(), causes=counts)
        window.lines = 0
        window.unnamed.clear()


class EnvoyLog:
    """Envoy's own log, handed on line by line; the last error is kept for the case that Envoy ends."""

    def __init__(self) -> None:
        self._last_error = ""

    def last_error(self) -> str:
        """The text of the last error, empty when there was none."""
        return self._last_error

    def read(self, line: bytes) -> None:
        """One line, with its level and component; a line of another shape counts as an error."""
        level, component, text = ["error", "", *line.decode(errors="replace").rstrip().split("\t", 2)][-3:]
        log = structlog.get_logger()
        match level:
            case "trace" | "debug" | "info":
                log.debug("envoy", component=component, text=text)
            case "warning":
                log.warning("envoy", component=component, text=text)
            case _:
                self._last_error = text
                log.error("envoy", component=component, text=text)
