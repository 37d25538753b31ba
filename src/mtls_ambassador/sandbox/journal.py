"""What reached the sandbox, so that a test can say what a gateway sent, byte for byte. Bounded."""

import hashlib
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

AUTH_REQUESTS = "/api/devices/v1/authentication/auth_requests"
CONTROLS = "/sandbox/"


@dataclass(slots=True)
class Entry:
    """One request as received; `status` is None while it is being answered, and after a dropped connection."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    """In the order and spelling received."""
    peer: str
    route: str
    """The pattern it was routed to, such as `/api/management/v2/devauth/devices/{id}`; "unknown" without one."""
    number: int = 0
    """Counts from 1 since the start."""
    time: float = field(default_factory=time.time)
    """Unix seconds."""
    body_sha256: str | None = None
    body_size: int | None = None
    body: bytes | None = field(default=None, repr=False)
    """The raw body, of auth requests only."""
    status: int | None = None

    def header(self, name: str) -> str | None:
        """The first header of this name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def header_values(self, name: str) -> list[str]:
        """Every header of this name, in the order received."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def take_body(self, body: bytes) -> None:
        """Note a body that was read whole."""
        self.body_sha256, self.body_size = hashlib.sha256(body).hexdigest(), len(body)
        if self.path == AUTH_REQUESTS:
            self.body = body

    def to_json(self) -> dict[str, object]:
        """As `/sandbox/journal` shows it; the body as latin-1 text, which loses no byte. Credentials stay in."""
        return {
            "number": self.number,
            "time": self.time,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "peer": self.peer,
            "route": self.route,
            "body_sha256": self.body_sha256,
            "body_size": self.body_size,
            "body": None if self.body is None else self.body.decode("latin-1"),
            "status": self.status,
        }


class Journal:
    """The last requests, and counters of all since the start or the last `clear`."""

    def __init__(self, size: int) -> None:
        self.entries: deque[Entry] = deque(maxlen=size)
        self.total = 0
        self.counts: Counter[str] = Counter()
        """By method and route, such as `GET /api/management/v2/devauth/devices/{id}`."""
        self.statuses: Counter[str] = Counter()
        """By method, route and status."""
        self.at_once = 0
        """Requests that have begun and not ended, WebSockets aside."""
        self.most_at_once = 0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """While a request lasts."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            self.at_once -= 1

    def open(self, entry: Entry) -> Entry:
        """Note a request that begins; the sandbox's own controls are not noted."""
        if not entry.path.startswith(CONTROLS):
            self.total += 1
            entry.number = self.total
            self.entries.append(entry)
            self.counts[f"{entry.method} {entry.route}"] += 1
        return entry

    def close(self, entry: Entry, status: int) -> None:
        """Note how a request was answered."""
        entry.status = status
        if entry.number:
            self.statuses[f"{entry.method} {entry.route} {status}"] += 1

    def find(self, path: str = "", method: str = "") -> list[Entry]:
        """Entries whose path begins with `path`, oldest first."""
        return [e for e in self.entries if e.path.startswith(path) and method in {"", e.method}]

    def clear(self) -> None:
        """Forget everything; numbers go on."""
        self.entries.clear()
        self.counts.clear()
        self.statuses.clear()
