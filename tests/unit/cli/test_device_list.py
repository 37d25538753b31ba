"""`device list` and `device show`: on the store alone, a page at a time, every text of a device made harmless."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from runpy import run_path

import pytest
import sqlalchemy as sa

from mtls_ambassador.cli import main
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store.database import open_database
from mtls_ambassador.store.tables import device

ROWS = run_path(str(Path(__file__).parents[3] / "benchmarks" / "measure" / "fleet_rows.py"))
NOW = dt.datetime.now(dt.UTC)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `device ...` over the records of 1 200 devices; gives the exit code, output and errors."""
    with (
        open_database(StoreSettings(tmp_path, None, tmp_path / "pki")) as database,
        database.transaction() as connection,
    ):
        ROWS["fill"](connection, 1200, 20, NOW)
        hostile = sa.update(device).where(device.c.number == 1200)
        connection.execute(hostile.values(certificate_subject="CN=\x1b[31mred\u202e"))
    monkeypatch.setenv("MTLS_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("MTLS_DATABASE_URL", raising=False)

    def go(*args: str) -> tuple[int, str, str]:
        code = main(["device", *args])
        told = capsys.readouterr()
        return code, told.out, told.err

    return go


def test_the_newest_first_and_that_there_are_more(run: Run) -> None:
    code, out, err = run("list", "--limit", "3")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "dev-0001198" in out.splitlines()[1]
    assert "last seen" in out
    assert err == "there are more: --limit 30, or --all\n"


def test_all_of_them_for_scripts(run: Run) -> None:
    code, out, err = run("list", "--all", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, len(rows), len({row["identity"] for row in rows}), err) == (0, 1200, 1200, "")


def test_found_and_filtered(run: Run) -> None:
    assert "CN=dev-0000042," in run("list", "DEV-0000042")[1]
    rows = run("list", "--standing", "withdrawn", "--limit", "100", "--json")[1].splitlines()
    assert [json.loads(row)["standing"] for row in rows] == ["withdrawn"] * 24
    assert len(run("list", "--silent", "7d", "--all")[1].splitlines()) == 12
    assert run("list", "nobody") == (0, "", "no device is known that fits\n")


@pytest.mark.parametrize("args", [["list", "--standing", "gone"], ["list", "--silent", "long"], ["list", "x" * 201]])
def test_wrong_usage(run: Run, args: list[str]) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err


def test_one_by_identity_hash_or_serial(run: Run) -> None:
    row = json.loads(run("list", "dev-0000007", "--json")[1])
    shown = run("show", row["identity"])[1]
    assert shown == run("show", row["identity_sha256"])[1] == run("show", row["certificate_serial"].upper())[1]
    for words in (row["identity"], "standing     accepted", "certificate  ", "100 connections", "event  ", "enrolled"):
        assert words in shown
    found = json.loads(run("show", row["identity"], "--json")[1])
    assert [item["row"]["identity"] for item in found] == [row["identity"]]


def test_one_that_is_not_known(run: Run) -> None:
    code, _, err = run("show", '{"mac":"nobody"}')
    assert code == 1
    assert err.endswith("no device is known by that; `device list TEXT` finds it by any part of its texts\n")
    assert run("show", "4F")[0] == 1
    code, _, err = run("show", "no serial")
    assert code == 2
    assert "IDENTITY|SERIAL" in err
