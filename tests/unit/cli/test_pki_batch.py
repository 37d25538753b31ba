"""`pki batch`: wrong usage is told, Ctrl-C is a clean stop, a summary says what happened."""

import json
import os
import signal
from pathlib import Path

import pytest

from mtls_ambassador.cli import main
from mtls_ambassador.cli.pki_batch_view import Progress, tell
from mtls_ambassador.flows.batch_run import Outcome


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "say what to make"),
        (["--count", "3"], "--count needs --name"),
        (["--count", "3", "--name", "dev"], "must have one place for the number"),
        (["--count", "3", "--name", "dev-{n}"], "say --out"),
        (["--count", "3", "--name", "dev-{n}", "--verify", "x"], "exclude each other"),
        (["--shred", "."], "say --yes as well"),
    ],
)
def test_wrong_usage(
    args: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MTLS_STATE_DIR", str(tmp_path))
    assert main(["pki", "batch", *args]) in {1, 2}
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_bad_rows_are_told_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MTLS_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "o.csv").write_text("name\na\n/\na\n?\n")
    assert main(["pki", "batch", str(tmp_path / "o.csv"), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "o.csv: line 3" in told
    assert "o.csv: line 5" in told
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_asks_for_a_stop(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Progress(5) as bar:
        assert not bar.is_stopped()
        os.kill(os.getpid(), number)
        assert bar.is_stopped()
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome("b", 1, 5, made=5), "batch b: 5 devices in 2.0 s, 2/s; in out"),
        (Outcome("b", 1, 5, made=2, done_before=3), "batch b: 2 devices in 2.0 s, 1/s (3 were made before); in out"),
        (Outcome("b", 1, 5, done_before=5), "batch b: all 5 were made before; nothing to do"),
        (Outcome("b", 1, 5, made=2, was_stopped=True), "stopped: 2 of 5 are done; run the same command again to go on"),
    ],
)
def test_summary(outcome: Outcome, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell(outcome, "out", 2.0, as_json=False)
    assert capsys.readouterr().out == told + "\n"
    tell(outcome, "-", 2.0, as_json=True)
    written = capsys.readouterr()
    assert written.out == ""
    assert json.loads(written.err)["made"] == outcome.made


def test_voided_certificates_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Outcome("b", 1, 5, made=5, voided=2), "out", 2.0, as_json=False)
    assert "2 certificates of a run that was killed" in capsys.readouterr().err
