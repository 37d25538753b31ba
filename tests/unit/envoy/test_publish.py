"""What Envoy is given is published only after the real Envoy has accepted it."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.decide.denylist import Denied
from mtls_ambassador.envoy.material import Material
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.publish import Publisher, fault
from mtls_ambassador.flows.compile_denylist import write_denylist
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Listen, Settings, Upstream
from support.pki import Pki


@pytest.fixture
def paths(tmp_path: Path) -> RuntimePaths:
    (tmp_path / "run").mkdir()
    return RuntimePaths(tmp_path / "run")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        listen=Listen("127.0.0.1", 8080),
        server_certificate=tmp_path / "server.crt",
        server_key=tmp_path / "server.key",
        tenant_ca=tmp_path / "ca.pem",
        upstream=Upstream("http", "127.0.0.1", 80),
    )


@pytest.fixture
def material(tmp_path: Path, paths: RuntimePaths) -> Material:
    pki = Pki(tmp_path)
    denylist = write_denylist(Denied(), {}, paths, ignores_end=False)
    chain, key = pki.server.certificate.read_bytes(), pki.server.key.read_bytes()
    return Material(chain, key, pki.ca_file.read_bytes(), denylist)


def contents(paths: RuntimePaths) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths.directory.glob("*.json")}


def test_good_ones_are_written_for_their_owner_alone(
    paths: RuntimePaths, settings: Settings, material: Material
) -> None:
    publisher = Publisher(settings, paths, Machine())
    publisher.publish(material)
    publisher.begin()
    assert set(contents(paths)) == {
        "envoy.json",
        "listeners.json",
        "denylist.json",
        "secret-server.json",
        "secret-devices.json",
    }
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in paths.directory.iterdir())


def test_a_bad_one_leaves_the_old_and_is_kept_beside(
    paths: RuntimePaths, settings: Settings, material: Material, tmp_path: Path
) -> None:
    publisher = Publisher(settings, paths, Machine())
    publisher.publish(material)
    before = contents(paths)
    other = Pki(tmp_path).server.key.read_bytes()
    with pytest.raises(AmbassadorError, match=r"Envoy refuses .*the private key is not the one of the certificate"):
        publisher.publish(replace(material, server_key=other))
    assert contents(paths) == before
    assert json.loads((paths.directory / "whole.json.rejected").read_text())["admin"]


def test_what_has_not_changed_is_not_written_again(paths: RuntimePaths, settings: Settings, material: Material) -> None:
    publisher = Publisher(settings, paths, Machine())
    publisher.publish(material)
    before = {path.name: path.stat().st_ino for path in paths.directory.iterdir()}
    publisher.publish(replace(material, denylist=replace(material.denylist, ignores_end=True)))
    changed = {path.name for path in paths.directory.iterdir() if before.get(path.name) != path.stat().st_ino}
    assert changed == {"denylist.json"}


def test_closing_connections_makes_another_chain(paths: RuntimePaths, settings: Settings, material: Material) -> None:
    publisher = Publisher(settings, paths, Machine())
    publisher.publish(material)
    publisher.begin()
    before = contents(paths)
    publisher.close_connections()
    after = contents(paths)
    assert {name for name in after if after[name] != before[name]} == {"listeners.json"}
    assert b'"devices-1"' in after["listeners.json"]


def test_the_reason_names_what_is_at_fault(paths: RuntimePaths, settings: Settings, material: Material) -> None:
    missing = replace(material, crls=paths.directory / "missing.pem")
    with pytest.raises(AmbassadorError, match=r"missing\.pem") as caught:
        Publisher(settings, paths, Machine()).publish(missing)
    assert "\n" not in str(caught.value)
    assert "whole.json" not in str(caught.value)


def test_a_binary_that_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(AmbassadorError, match="cannot run Envoy: No such file"):
        fault(tmp_path / "none", tmp_path / "envoy.json")
