"""CAs are made whole, their keys encrypted and for nobody else's eyes, and never made over."""

import stat
import sys
from pathlib import Path

import pytest

from mtls_ambassador.pki.keys import is_encrypted
from support.pki_cli import PkiCli, openssl

KILL_AT = (sys.executable, str(Path(__file__).parents[1] / "support" / "kill_at.py"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_keys_are_encrypted_with_the_passphrase_of_a_file_or_variable(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("correct horse\n")
    cli = PkiCli(tmp_path)
    cli.run("init", "--passphrase-file", "pass")
    for name in ("root", "issuing"):
        key = cli.pki / name / "ca-private.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert is_encrypted(key.read_bytes())
        openssl("pkey", "-in", key, "-passin", "pass:correct horse", "-noout")
    assert "no passphrase is given" in cli.run("device", "dev-1", code=1)
    wrong = PkiCli(tmp_path, {"MTLS_CA_PASSPHRASE": "battery staple"}).run("device", "dev-1", code=1)
    assert "wrong passphrase" in wrong
    assert "battery" not in wrong
    PkiCli(tmp_path, {"MTLS_CA_PASSPHRASE_FILE": "pass"}).run("device", "dev-1")


def test_no_passphrase_must_be_said_and_nothing_is_made_before(tmp_path: Path) -> None:
    cli = PkiCli(tmp_path)
    assert "--no-passphrase" in cli.run("init", code=1)
    assert not cli.pki.exists()
    cli.run("init", "--no-passphrase")


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    cli = PkiCli(tmp_path)
    cli.run("init", "--no-passphrase")
    before = files(cli.pki)
    assert "never overwritten" in cli.run("init", "--no-passphrase", code=1)
    assert files(cli.pki) == before


def test_the_root_s_key_put_away_is_there_and_only_there(tmp_path: Path) -> None:
    cli = PkiCli(tmp_path, {"MTLS_CA_PASSPHRASE": "correct horse"})
    cli.run("init", "--offline-root", "stick")
    assert (tmp_path / "stick" / "root" / "ca-private.key").exists()
    assert sorted(files(cli.pki / "root")) == ["ca-cert.pem"]
    assert "is not here" in cli.run("crl", "--ca", "root", code=1)
    cli.run("init", "--below", "root", "--offline-root", "stick", "--name", "issuing-2")
    cli.run("device", "dev-1", "--ca", "issuing-2")
    openssl("verify", "-x509_strict", "-CAfile", cli.pki / "root" / "ca-cert.pem",
            "-untrusted", cli.pki / "issuing-2" / "ca-cert.pem", tmp_path / "dev-1" / "mender-cert.pem")  # fmt: skip
    openssl("verify", "-CAfile", cli.pki / "trust.pem", tmp_path / "dev-1" / "mender-cert.pem")


@pytest.mark.parametrize(
    "point",
    [
        "flows.make_ca:mark_issued:after:1",
        "pki.folder:write_new:after:2",
        "flows.make_ca:add:after:1",
        "flows.make_ca:add:before:2",
        "flows.make_ca:add:after:2",
    ],
)
def test_killed_anywhere_a_ca_is_there_whole_or_not_at_all(tmp_path: Path, point: str) -> None:
    PkiCli(tmp_path, {"KILL_AT": point}, KILL_AT).run("init", "--no-passphrase", code=-9)
    cli = PkiCli(tmp_path)
    there = sorted(path.name for path in cli.pki.glob("[!.]*/"))
    for name in there:
        assert {"ca-cert.pem", "ca-private.key"} <= set(files(cli.pki / name))
    if "issuing" not in there:
        below = ("--below", "root") if "root" in there else ()
        cli.run("init", "--no-passphrase", *below)
    cli.run("device", "dev-1")
    openssl("verify", "-x509_strict", "-CAfile", cli.pki / "root" / "ca-cert.pem",
            "-untrusted", cli.pki / "issuing" / "ca-cert.pem", tmp_path / "dev-1" / "mender-cert.pem")  # fmt: skip
    records = cli.records()
    assert len({item["serial"] for item in records}) == len(records)
