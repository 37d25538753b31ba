"""A certificate taken back on the command line is refused by openssl with the CRL; on SQLite and on PostgreSQL."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtls_ambassador.settings.load import load_store
from mtls_ambassador.store.database import open_database
from support.postgres import Postgres

PASSPHRASE = "correct horse battery staple"


@dataclass(slots=True)
class Factory:
    """The commands, with everything they need in one folder."""

    folder: Path
    url: str
    last: "subprocess.CompletedProcess[str] | None" = field(default=None)

    @property
    def environ(self) -> dict[str, str]:
        own = {"MTLS_STATE_DIR": str(self.folder / "state"), "MTLS_CA_PASSPHRASE": PASSPHRASE}
        return own | ({"MTLS_DATABASE_URL": self.url} if self.url else {})

    def pki(self, *args: str, exit_code: int = 0) -> str:
        command = [sys.executable, "-m", "mtls_ambassador", "pki", *args]
        environ = {"PATH": os.environ["PATH"], **self.environ}
        done = subprocess.run(command, env=environ, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == exit_code, done.stderr + done.stdout
        assert PASSPHRASE not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def verified(self, name: str) -> str:
        """What openssl says of a device's certificate, with the CRL."""
        pki = self.folder / "state" / "pki"
        files = ["-CAfile", str(pki / "trust.pem"), "-CRLfile", str(pki / "issuing" / "crl.pem")]
        command = ["openssl", "verify", "-crl_check", *files, f"{name}/mender-cert.pem"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Factory]:
    if request.param == "sqlite":
        yield Factory(tmp_path, "")
        return
    with Postgres.running() as server:
        yield Factory(tmp_path, server.database())


def test_what_was_taken_back_is_refused(factory: Factory) -> None:
    factory.pki("init")
    for name in ("lost", "kept", "held"):
        factory.pki("device", name)
    factory.pki("crl")
    assert [factory.verified(name).split()[-1] for name in ("lost", "kept")] == ["OK", "OK"]

    factory.pki("revoke", "--name", "lost", "--reason", "keyCompromise", "--note", "lorry")
    factory.pki("revoke", "--cert", "held/mender-cert.pem", "--reason", "certificateHold")
    assert json.loads(factory.pki("crl", "--json"))["number"] == 2
    assert "certificate revoked" in factory.verified("lost")
    assert "certificate revoked" in factory.verified("held")
    assert factory.verified("kept").endswith("OK\n")

    assert "that stays" in factory.pki("revoke", "--name", "lost", "--reason", "superseded")
    assert "is revoked for good" in factory.pki("revoke", "--name", "lost", "--reason", "removeFromCRL", exit_code=1)
    factory.pki("revoke", "--name", "held", "--reason", "removeFromCRL")
    factory.pki("crl")
    assert factory.verified("held").endswith("OK\n")
    shown_as_listed(factory)
    audit_holds_until_touched(factory)


def shown_as_listed(factory: Factory) -> None:
    rows = list(csv.DictReader(factory.pki("list", "--revoked", "--csv").splitlines()))
    assert [(row["name"], row["reason"], row["ca"]) for row in rows] == [("lost", "keyCompromise", "issuing")]
    names = {json.loads(line)["name"] for line in factory.pki("list", "--json", "--expiring", "11y").splitlines()}
    assert {"kept", "held"} <= names
    assert "lost" not in names
    assert factory.pki("list", "--expiring", "1d") == ""
    assert [line.split()[-1] for line in factory.pki("list", "--name", "k*").splitlines()] == ["kept"]


def audit_holds_until_touched(factory: Factory) -> None:
    assert factory.pki("audit", "verify").startswith("whole: ")
    events = [json.loads(line)["event"] for line in factory.pki("audit", "list", "--json").splitlines()]
    assert events.count("crl") == 3
    assert events.count("revoke") == 2
    assert events.count("lift-hold") == 1
    with open_database(load_store(factory.environ)) as database, database.transaction() as connection:
        first = connection.execute(sa.text("SELECT id FROM audit WHERE event = 'revoke' ORDER BY id")).scalars().first()
        connection.execute(sa.text("UPDATE audit SET certificate_serial = '00' WHERE id = :id"), {"id": first})
    assert f"row {first} " in factory.pki("audit", "verify", exit_code=1)


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["revoke", "--reason", "superseded"], 2, "say what to revoke"),
        (["revoke", "12", "--reason", "because"], 2, "is not one of"),
        (["revoke", "12", "--reason", "superseded", "--unknown"], 2, "--unknown needs --ca"),
        (["revoke", "xyz", "--reason", "superseded"], 1, "write it in hexadecimal"),
        (["revoke", "--serials", "list.txt", "--reason", "superseded"], 1, "list.txt: line 3: 'oops'"),
        (["revoke", "--cert", "list.txt", "--reason", "superseded"], 1, "no readable PEM certificate"),
        (["revoke", "--key", "nowhere.pem", "--reason", "superseded"], 1, "nowhere.pem: cannot be read"),
        (["list", "--expiring", "soon"], 2, "is no span of time"),
        (["list", "--batch", "none"], 2, "there is no such batch"),
        (["list", "--ca", "none"], 2, "--ca none"),
        (["crl"], 1, "has no CA"),
        (["audit", "verify", "--anchor", "1:00"], 2, "write it as"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_command_says_what_would_be_right(tmp_path: Path, args: list[str], code: int, text: str) -> None:
    (tmp_path / "list.txt").write_text("# stolen\nserial=0A:0b\noops\n")
    assert text in Factory(tmp_path, "").pki(*args, exit_code=code)
