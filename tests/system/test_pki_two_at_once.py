"""Processes that issue at the same time share no serial, and make one certificate for one name."""

from pathlib import Path

from support.pki_cli import PkiCli


def test_at_the_same_time(tmp_path: Path) -> None:
    cli = PkiCli(tmp_path)
    cli.run("init", "--single", "--no-passphrase")
    names = ["a", "b", "same", "same", "same"]
    started = [cli.start("device", name, "--out", f"{name}-{number}") for number, name in enumerate(names)]
    ended = [(process.communicate(timeout=120), process.returncode) for process in started]
    assert [code for _, code in ended].count(0) == 3, ended
    refused = [texts[1] for texts, code in ended if code]
    assert all("has a certificate already" in text for text in refused)
    records = [item for item in cli.records() if item["profile"] == "device"]
    assert sorted(item["name"] for item in records if item["status"] == "done") == ["a", "b", "same"]
    assert len({item["serial"] for item in records}) == len(records)
    assert len(list(tmp_path.glob("*/mender-cert.pem"))) == 3
