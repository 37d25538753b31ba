"""A PostgreSQL of a test's own: a fresh cluster of Debian's package, on a free loopback port, gone afterwards."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from support.ports import free_port

PATIENCE = 60
SPEED = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "30", "unix_socket_directories": ""}


class Postgres:
    """A running cluster; each database made in it is empty."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._made = 0

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["Postgres"]:
        """Make and start a cluster as the user postgres, for PostgreSQL refuses root; stop it by its own process id."""
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        port, data = free_port(), folder / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        try:
            options = "--username=postgres --auth=trust --encoding=UTF8 --no-sync --no-instructions --locale=C.UTF-8"
            subprocess.run(
                [_program("initdb"), *options.split(), str(data)], check=True, capture_output=True, **_as_postgres()
            )
            with _started(data, port):
                yield cls(port)
        finally:
            shutil.rmtree(folder)

    def database(self, template: str = "template0") -> str:
        """The URL of a new database: empty, or a copy of one whose URL is given and which nobody uses."""
        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template.rpartition("/")[2]}"'.encode())
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"


@contextmanager
def _started(data: Path, port: int) -> Iterator[None]:
    settings = {"port": str(port), "listen_addresses": "127.0.0.1", **SPEED}
    command = [_program("postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]
    with (
        (data / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, **_as_postgres()) as server,
    ):
        try:
            _wait_ready(server, data, port)
            yield
        finally:
            server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            server.wait(PATIENCE)


def _wait_ready(server: "subprocess.Popen[bytes]", data: Path, port: int) -> None:
    probe = [_program("pg_isready"), "--host=127.0.0.1", f"--port={port}", "--quiet"]
    while subprocess.run(probe, check=False).returncode:
        if server.poll() is not None:
            raise AssertionError(f"PostgreSQL did not start:\n{(data / 'log').read_text()}")


def _as_postgres() -> dict[str, Any]:
    """How to start a program as the user postgres, where the tests run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}


def _program(name: str) -> str:
    """Debian keeps the server's programs in a folder per version; the newest counts."""
    folders: Sequence[Path] = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    if not folders:
        raise AssertionError("PostgreSQL is missing: apt-get install postgresql")
    return str(folders[-1] / name)


def _version(folder: Path) -> int:
    found = re.match(r"\d+", folder.parent.name)
    return int(found[0]) if found else 0
