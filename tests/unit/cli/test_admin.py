"""Users and tokens by command: secrets are asked for unseen, shown once, and written nowhere."""

import io
import json
from pathlib import Path

import pytest

from mtls_ambassador.cli import main
from mtls_ambassador.model.operator import Scope
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import tokens
from mtls_ambassador.store.audit import read_all
from mtls_ambassador.store.database import open_database
from mtls_ambassador.web.access.users import is_password, parse_users


def given(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_line_for_the_users_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given(monkeypatch, "correct horse\n")
    assert main(["admin", "password", "marta", "--scope", "write"]) == 0
    said = capsys.readouterr()
    user = parse_users(said.out)["marta"]
    assert user.scope is Scope.WRITE
    assert is_password(user, "correct horse")
    assert "horse" not in said.out + said.err


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("marta", "short\n", "the password must have 8"),
        ("marta", "", "the password"),
        ("ma:rta", "12345678\n", "NAME: "),
    ],
)
def test_what_cannot_be_a_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, password: str, said: str
) -> None:
    given(monkeypatch, password)
    assert main(["admin", "password", name]) == 2
    assert said in capsys.readouterr().err


def test_a_user_of_a_proxy_has_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["admin", "password", "marta@example.com", "--proxy"]) == 0
    assert capsys.readouterr().out == "marta@example.com:read:\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreSettings:
    settings = StoreSettings(tmp_path, None, tmp_path / "pki")
    with open_database(settings):
        pass
    monkeypatch.setenv("MTLS_STATE_DIR", str(tmp_path))
    return settings


def test_the_life_of_a_token(store: StoreSettings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["admin", "token", "create", "grafana", "--days", "9", "--by", "me"]) == 0
    made = capsys.readouterr().out.strip()
    assert made.startswith("mta_")
    assert main(["admin", "token", "list"]) == 0
    assert "grafana: good, read, until " in capsys.readouterr().out
    with open_database(store) as database, database.snapshot() as connection:
        found = tokens.find(connection, made)
        assert found
        assert made not in str([tuple(row) for row in connection.exec_driver_sql("SELECT * FROM api_token")])
    assert main(["admin", "token", "revoke", "grafana", "--by", "me"]) == 0
    assert main(["admin", "token", "revoke", "grafana"]) == 0
    assert "was revoked before" in capsys.readouterr().out
    assert main(["admin", "token", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["good"], "token" in listed) == (False, False)
    with open_database(store) as database, database.snapshot() as connection:
        rows = read_all(connection)
    assert [(row.event, row.reason) for row in rows] == [("token-create", "read"), ("token-revoke", "revoked")]
    assert made not in str(rows)


def test_a_name_is_taken_once_and_a_stranger_is_told(store: StoreSettings, capsys: pytest.CaptureFixture[str]) -> None:
    del store
    assert main(["admin", "token", "create", "a"]) == 0
    assert main(["admin", "token", "create", "a"]) == 1
    assert "there is a token 'a' already" in capsys.readouterr().err
    assert main(["admin", "token", "revoke", "b"]) == 1
    assert "there is no token 'b'" in capsys.readouterr().err
    assert main(["admin", "token", "create", "\n"]) == 2
