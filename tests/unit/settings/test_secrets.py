import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.settings import Secret
from mtls_ambassador.settings.load import load, read

from .conftest import Faults, Load

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).map(
    lambda text: f"hunter2{text}"
)
NO_FILE = Path("/nowhere/mender-gateway.conf")
SLOW_FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def secret_file(tmp_path: Path, text: str, mode: int = 0o600) -> str:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_secret_from_a_file_loses_its_trailing_newline(load_with: Load, tmp_path: Path) -> None:
    loaded = load_with(MTLS_MENDER_PASS=None, MTLS_MENDER_PASS_FILE=secret_file(tmp_path, " pass word \r\n"))
    assert loaded.settings.mender_password == Secret(" pass word ")
    assert loaded.origins["mender_password"] == "MTLS_MENDER_PASS_FILE"
    assert loaded.warnings == ()


def test_a_token_instead_of_user_and_password(load_with: Load, tmp_path: Path) -> None:
    file = secret_file(tmp_path, "token\n")
    settings = load_with(MTLS_MENDER_USER=None, MTLS_MENDER_PASS=None, MTLS_MENDER_TOKEN_FILE=file).settings
    assert settings.mender_token == Secret("token")
    assert settings.mender_password is None


def test_a_token_of_the_environment_wins_over_the_files_user(load_with: Load, tmp_path: Path) -> None:
    config = tmp_path / "g.conf"
    config.write_text('{"Features": {"mTLS": {"MenderUsername": "a@b.c", "MenderPassword": "x"}}}')
    config.chmod(0o600)
    loaded = load_with(config, MTLS_MENDER_USER=None, MTLS_MENDER_PASS=None, MTLS_MENDER_TOKEN="token")
    assert loaded.settings.mender_token == Secret("token")
    assert loaded.settings.mender_user == ""
    assert len(loaded.warnings) == 2


@pytest.mark.parametrize("text", [None, "", "\n", b"\xff\xff"])
def test_a_secret_file_missing_empty_or_not_text(faults_of: Faults, tmp_path: Path, text: str | bytes | None) -> None:
    path = tmp_path / "secret"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (fault,) = faults_of(MTLS_MENDER_PASS=None, MTLS_MENDER_PASS_FILE=str(path))
    assert fault.startswith(f"MTLS_MENDER_PASS_FILE: file {path} ")


def test_value_and_file_must_agree(faults_of: Faults, load_with: Load, tmp_path: Path) -> None:
    file = secret_file(tmp_path, "hunter2\n")
    (fault,) = faults_of(MTLS_MENDER_PASS_FILE=file)
    assert fault == "MTLS_MENDER_PASS and MTLS_MENDER_PASS_FILE name the same setting but differ; keep one of them"
    assert load_with(MTLS_MENDER_PASS="hunter2", MTLS_MENDER_PASS_FILE=file).settings.mender_password


def test_world_readable_secrets_are_warned_about(load_with: Load, environ: dict[str, str], tmp_path: Path) -> None:
    Path(environ["MTLS_SERVER_KEY"]).chmod(0o644)
    config = tmp_path / "g.conf"
    config.write_text('{"Features": {"mTLS": {"MenderPassword": "x"}}}')
    config.chmod(0o644)
    warnings = load_with(config, MTLS_MENDER_PASS_FILE=secret_file(tmp_path, "password", 0o644)).warnings
    assert [text.split(":")[0] for text in warnings] == ["MTLS_SERVER_KEY", "MTLS_MENDER_PASS_FILE", str(config)]


@SLOW_FIXTURES
@given(secret=SECRETS)
def test_secrets_never_show(environ: dict[str, str], secret: str) -> None:
    variants = [
        {"MTLS_MENDER_PASS": secret},
        {"MTLS_MENDER_PASS": secret, "MTLS_MENDER_PASSWORD": secret + "x"},
        {"MTLS_MENDER_TOKEN": secret},
        {"MTLS_DATABASE_URL": secret},
        {"MTLS_DATABASE_URL": f"postgresql://user:{secret}@db/mender"},
        {"MTLS_DATABASE_URL": f"oracle://user:{secret}@db:x/mender"},
        {"MTLS_MENDER_BACKEND": f"https://user:{secret}@mender/"},
        {"MTLS_TRACES_URL": f"https://user:{secret}@traces/"},
        {"MTLS_TRACES_URL": f"https://traces/?key={secret}"},
        {"MTLS_MENDER_BACKEND": f"https://mender/?token={secret}"},
        {"HTTPS_PROXY": f"http://user:{secret}@proxy"},
        {"MTLS_MENDER_PASWORD": secret},
    ]
    for changes in variants:
        merged = {**environ, **changes}
        shown = repr(read(merged, default_file=NO_FILE))
        try:
            shown += repr(load(merged, default_file=NO_FILE))
        except FaultsError as error:
            shown += "".join(traceback.format_exception(error)) + repr(error) + repr(error.faults)
        assert "hunter2" not in shown


def test_a_secret_in_a_broken_configuration_file_does_not_show(faults_of: Faults, tmp_path: Path) -> None:
    config = tmp_path / "g.conf"
    config.write_text('{"Features": {"mTLS": {"MenderPassword": "hunter2" "oops"}}}')
    assert "hunter2" not in str(faults_of(config))
