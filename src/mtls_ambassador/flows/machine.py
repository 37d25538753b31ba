"""What this machine offers, looked at once before the gateway starts."""

import os
import resource
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from mtls_ambassador.envoy.place import LONGEST_SOCKET_PATH, MANY_FILES, Machine, RuntimePaths
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Listen

TRUST_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Debian, Red Hat, SUSE and Alpine keep their CA bundle."""


def inspect() -> Machine:
    """Look at this machine, and raise its open-file limit for this process and its children as far as it goes."""
    return Machine(has_ipv6=_has_ipv6(), trust_store=trust_store(), file_limit=_raise_file_limit())


def trust_store() -> Path:
    """The CA bundle of this machine."""
    return next((Path(path) for path in TRUST_STORES if Path(path).exists()), Path(TRUST_STORES[0]))


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def runtime_folder(environ: Mapping[str, str]) -> Iterator[RuntimePaths]:
    """A private folder (mode 0700) for one run, gone afterwards; in `RUNTIME_DIRECTORY` (systemd.exec(5)) when set.

    Raises AmbassadorError when it cannot be made, or lies too deep for a Unix socket.
    """
    base = environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or tempfile.gettempdir()
    try:
        paths = RuntimePaths(Path(tempfile.mkdtemp(prefix="mtls-ambassador-", dir=base)))
    except OSError as error:
        raise AmbassadorError(f"{base}: cannot make the runtime folder: {error.strerror}") from error
    try:
        if len(os.fsencode(paths.decision_socket)) > LONGEST_SOCKET_PATH:
            raise AmbassadorError(
                f"{base}: too long a path for a Unix socket; set RUNTIME_DIRECTORY or TMPDIR to a shorter one"
            )
        yield paths
    finally:
        rmtree(paths.directory, ignore_errors=True)


def require_port(listen: Listen, setting: str) -> None:
    """Raise AmbassadorError when the address cannot be listened on: Envoy would go on without a listener."""
    host = listen.host or ("::" if _has_ipv6() else "0.0.0.0")  # noqa: S104 - "every address" is what was asked for
    try:
        try_port(host, listen.port)
    except OSError as error:
        raise AmbassadorError(f"{setting}: cannot bind '{listen}': {error.strerror}") from error


def try_port(host: str, port: int) -> None:
    """Listen and close at once. Raises OSError when that cannot be done."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _raise_file_limit() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else MANY_FILES
