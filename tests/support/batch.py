"""The `pki batch` command as a factory runs it, and what must be true of a finished batch whatever happened to it."""

import os
import subprocess
import sys
from pathlib import Path

from cryptography import x509

from mtls_ambassador.flows.batch_files import CERTIFICATE, KEY
from mtls_ambassador.flows.batch_manifest import verify
from mtls_ambassador.pki import folder
from mtls_ambassador.settings import Secret, StoreSettings
from mtls_ambassador.store import certificates
from mtls_ambassador.store.certificates import Filter, Record, Status
from mtls_ambassador.store.database import open_database

KILL_AT = Path(__file__).with_name("kill_at.py")


class BatchRig:
    """A CA without passphrase, a store and a folder for devices below `home`."""

    def __init__(self, home: Path, *init: str, url: str = "") -> None:
        self.home, self.out, self.url = home, home / "out", url
        self.pki = home / "state" / "pki"
        (home / "state").mkdir()
        self.environ = {**os.environ, "MTLS_STATE_DIR": str(home / "state")} | (
            {"MTLS_DATABASE_URL": url} if url else {}
        )
        done = self.run("pki", "init", "--single", "--no-passphrase", *init)
        assert done.returncode == 0, done.stderr

    def run(self, *args: str, kill_at: str = "") -> subprocess.CompletedProcess[str]:
        return self.start(*args, kill_at=kill_at).finish()

    def start(self, *args: str, kill_at: str = "") -> "Running":
        program = [sys.executable, str(KILL_AT)] if kill_at else [sys.executable, "-m", "mtls_ambassador"]
        return Running(
            subprocess.Popen(
                [*program, *args],
                env=self.environ | {"KILL_AT": kill_at},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def batch(self, count: int, kill_at: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(*self.words(count), kill_at=kill_at)

    def words(self, count: int) -> list[str]:
        return ["pki", "batch", "--count", str(count), "--name", "dev-{n:06}", "--out", str(self.out), "--jobs", "2"]

    def records(self, **wanted: object) -> list[Record]:
        store = StoreSettings(self.home / "state", Secret(self.url) if self.url else None, self.pki)
        with open_database(store) as database, database.snapshot() as connection:
            return list(certificates.select(connection, Filter(**wanted)))  # type: ignore[arg-type]  # see callers

    def check_finished(self, count: int) -> list[Record]:
        """All that was ordered, no more and none twice; every pair matches its record. Returns what is void."""
        ca = folder.read_public(folder.choose(self.pki, None)).certificate
        rows = [row for row in self.records() if row.profile == "device"]
        done = {row.name: row for row in rows if row.status is Status.DONE}
        void = [row for row in rows if row.status is Status.VOID]
        assert len(done) == count
        assert len(done) + len(void) == len(rows) == len({row.serial for row in rows})
        assert all(row.revoked_at is not None for row in void)
        verdict = verify(self.out, ca)
        assert (verdict.devices, verdict.whole, verdict.faults) == (count, count, [])
        for name, row in done.items():
            files = {path.name for path in (self.out / name).iterdir()}
            assert files == {CERTIFICATE, KEY}
            made = x509.load_pem_x509_certificate((self.out / name / CERTIFICATE).read_bytes())
            made.verify_directly_issued_by(ca)
            assert made.serial_number == row.serial
        return void


class Running:
    """A process that is ended by its own id, whatever happens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def finish(self, patience: float = 120) -> subprocess.CompletedProcess[str]:
        try:
            out, err = self.process.communicate(timeout=patience)
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)
