"""A configuration is published only after the real Envoy has accepted it."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.process import binary
from mtls_ambassador.envoy.publish import fault, publish
from mtls_ambassador.envoy.render import render
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Listen, Settings, Upstream
from support.pki import Pki


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    pki = Pki(tmp_path)
    return Settings(
        listen=Listen("127.0.0.1", 8080),
        server_certificate=pki.server.certificate,
        server_key=pki.server.key,
        tenant_ca=pki.ca_file,
        upstream=Upstream("http", "127.0.0.1", 80),
    )


def config(settings: Settings, folder: Path) -> dict[str, Any]:
    return render(settings, RuntimePaths(folder), Machine())


def test_a_good_one_is_written_for_its_owner_alone(tmp_path: Path, settings: Settings) -> None:
    target = tmp_path / "envoy.json"
    publish(binary(settings), config(settings, tmp_path), target)
    assert json.loads(target.read_text()) == config(settings, tmp_path)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not (tmp_path / "staged-envoy.json").exists()


def test_a_bad_one_leaves_the_old_and_is_kept_beside(tmp_path: Path, settings: Settings) -> None:
    target = tmp_path / "envoy.json"
    target.write_text("old")
    bad = config(settings, tmp_path) | {"bogus": 1}
    with pytest.raises(AmbassadorError, match=r"Envoy refuses .* no such field: 'bogus'"):
        publish(binary(settings), bad, target)
    assert target.read_text() == "old"
    assert json.loads((tmp_path / "envoy.json.rejected").read_text()) == bad


def test_the_reason_names_the_file_at_fault(tmp_path: Path, settings: Settings) -> None:
    missing = replace(settings, tenant_ca=tmp_path / "missing.pem")
    (tmp_path / "envoy.json").write_text(json.dumps(config(missing, tmp_path)))
    reason = fault(binary(settings), tmp_path / "envoy.json")
    assert str(tmp_path / "missing.pem") in reason
    assert "\n" not in reason
    assert "envoy.json" not in reason


def test_a_binary_that_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(AmbassadorError, match="cannot run Envoy: No such file"):
        fault(tmp_path / "none", tmp_path / "envoy.json")
