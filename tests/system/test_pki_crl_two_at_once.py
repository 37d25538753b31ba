"""CRLs written by several processes at once have a number each, and the newest one stands in the folder."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_ambassador.pki.crl import number_of
from support.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    with Postgres.running() as server:
        yield server.database()


def test_each_gets_a_number_of_its_own(tmp_path: Path, url: str) -> None:
    environ = {"PATH": os.environ["PATH"], "MTLS_STATE_DIR": str(tmp_path), "MTLS_DATABASE_URL": url}
    command = [sys.executable, "-m", "mtls_ambassador", "pki"]
    init = [*command, "init", "--single", "--no-passphrase"]
    subprocess.run(init, env=environ, check=True, capture_output=True)
    writing = [
        subprocess.Popen([*command, "crl", "--json"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    answers = [process.communicate() for process in writing]
    assert [process.returncode for process in writing] == [0] * 4, answers
    assert sorted(json.loads(out)["number"] for out, _ in answers) == [1, 2, 3, 4]
    (path,) = tmp_path.glob("pki/*/crl.pem")
    assert number_of(path.read_bytes())[0] == 4
