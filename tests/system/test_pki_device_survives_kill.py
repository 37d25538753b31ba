"""Killed at any step, `pki device` leaves no serial used twice, and the same command again finishes the job."""

import sys
from pathlib import Path

import pytest

from mtls_ambassador.sandbox.pairs import read_pair
from support.pki_cli import PkiCli

KILL_AT = (sys.executable, str(Path(__file__).parents[1] / "support" / "kill_at.py"))
STEPS = {
    "reserve:after:1": 1,
    "write_new:before:1": 1,
    "write_new:after:1": 1,
    "mark_issued:after:1": 1,
    "write_new:after:2": 0,
    "mark_done:after:1": 0,
}
"""Where it is killed, and whether another certificate than the one begun is made."""


@pytest.mark.parametrize("step", STEPS)
def test_the_same_command_again_finishes_the_job(tmp_path: Path, step: str) -> None:
    cli = PkiCli(tmp_path)
    cli.run("init", "--single", "--no-passphrase")
    environ = {"KILL_AT": f"flows.issue_one:{step}"}
    PkiCli(tmp_path, environ, KILL_AT).run("device", "dev-1", code=-9)
    begun = [item for item in cli.records() if item["name"] == "dev-1" and item["status"] == "issued"]
    cli.run("device", "dev-1")
    pair = read_pair(tmp_path / "dev-1" / "mender-cert.pem", tmp_path / "dev-1" / "mender-cert-private.pem")
    records = [item for item in cli.records() if item["name"] == "dev-1"]
    done = [item for item in records if item["status"] == "done"]
    assert [int(item["serial"], 16) for item in done] == [pair.certificate.serial_number]
    assert {item["status"] for item in records} <= {"done", "void"}
    assert len({item["serial"] for item in records}) == len(records)
    if begun:
        assert begun[0]["serial"] == done[0]["serial"]
    assert bool(begun) != bool(STEPS[step])
    assert "earlier run" in cli.run("device", "dev-1")


def test_a_key_cut_off_by_a_crash_is_made_anew_but_a_stranger_s_stays(tmp_path: Path) -> None:
    cli = PkiCli(tmp_path)
    cli.run("init", "--single", "--no-passphrase")
    key = tmp_path / "dev-1" / "mender-cert-private.pem"
    key.parent.mkdir()
    key.write_text("-----BEGIN PRIVATE KEY-----\nMIGH")
    assert "never overwritten" in cli.run("device", "dev-1", code=1)
    environ = {"KILL_AT": "flows.issue_one:write_new:before:1"}
    PkiCli(tmp_path, environ, KILL_AT).run("device", "dev-2", code=-9)
    key.rename(key.parent.with_name("dev-2") / key.name)
    cli.run("device", "dev-2")


def test_a_key_lost_with_its_certificate_recorded_is_revoked(tmp_path: Path) -> None:
    cli = PkiCli(tmp_path)
    cli.run("init", "--single", "--no-passphrase")
    environ = {"KILL_AT": "flows.issue_one:write_new:before:2"}
    PkiCli(tmp_path, environ, KILL_AT).run("device", "dev-1", code=-9)
    (tmp_path / "dev-1" / "mender-cert-private.pem").unlink()
    cli.run("device", "dev-1")
    lost, made = (item for item in cli.records() if item["name"] == "dev-1")
    assert lost["status"] == "void"
    assert lost["reason"] == "superseded"
    assert made["status"] == "done"
