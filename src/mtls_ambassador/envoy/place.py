"""Where one run keeps its files and what its machine offers: the facts rendering needs beside the settings."""

from dataclasses import dataclass
from pathlib import Path

MANY_FILES = 1_048_576
LONGEST_SOCKET_PATH = 107
"""Bytes of a Unix socket's path, its closing zero left out (unix(7), `sun_path`)."""


@dataclass(frozen=True, slots=True)
class RuntimePaths:
    """The private folder of one run and the names in it."""

    directory: Path

    @property
    def config(self) -> Path:
        """Envoy's configuration."""
        return self.directory / "envoy.json"

    @property
    def listeners(self) -> Path:
        """The device listener (LDS)."""
        return self.directory / "listeners.json"

    @property
    def denylist(self) -> Path:
        """The denylist's filter (ECDS)."""
        return self.directory / "denylist.json"

    @property
    def inputs(self) -> Path:
        """What was made of each input file, and when: for health, metrics and `status`."""
        return self.directory / "inputs.json"

    @property
    def store_denials(self) -> Path:
        """What the store denies, as the decision service found it."""
        return self.directory / "store-denials.json"

    @property
    def denied(self) -> Path:
        """A link to the packed list of what is denied now."""
        return self.directory / "denied"

    def secret(self, name: str) -> Path:
        """Certificates and keys of this name (SDS)."""
        return self.directory / f"secret-{name}.json"

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface: for the supervisor alone."""
        return self.directory / "admin.sock"

    @property
    def observations(self) -> Path:
        """Where the decision service takes what Envoy says of connections."""
        return self.directory / "observed.sock"

    @property
    def decision_socket(self) -> Path:
        """Where the decision service listens."""
        return self.directory / "decision.sock"


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine offers; the defaults fit any Linux of today."""

    has_ipv6: bool = True
    """Whether a socket may listen on `::`; without it "every address" means IPv4."""
    trust_store: Path = Path("/etc/ssl/certs/ca-certificates.crt")
    """The CA bundle upstream is checked against when the settings name none."""
    file_limit: int = MANY_FILES
    """Open files the process may have (RLIMIT_NOFILE)."""
