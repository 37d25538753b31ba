from mtls_ambassador.cli import COMMANDS
from mtls_ambassador.envoy.place import Machine
from mtls_ambassador.envoy.render import device_connections
from mtls_ambassador.settings import Listen
from mtls_ambassador.settings.values import Limits
from unit.deploy.dockerfile import DEPLOY
from unit.deploy.manifests import default, needed_to_end, seconds, systemd_environ, unit, unit_values, value

REPEATED = {"Environment", "LoadCredential", "SystemCallFilter"}


def test_no_setting_comes_twice_by_mistake() -> None:
    names = [name for name, _ in unit()]
    assert {name for name in names if names.count(name) > 1} == REPEATED


def test_it_runs_the_gateway_on_port_443_without_root() -> None:
    (command,) = unit_values("ExecStart")
    program, verb = command.split()
    assert program.startswith("/")
    assert verb in COMMANDS
    assert value(systemd_environ(), "listen") == Listen("", 443)
    assert unit_values("DynamicUser") == ["yes"]
    assert unit_values("AmbientCapabilities") == unit_values("CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
    assert unit_values("NoNewPrivileges") == ["yes"]


def test_folders_are_those_of_the_settings() -> None:
    (name,) = unit_values("StateDirectory")
    assert f"/var/lib/{name}" == default("state_dir")
    assert unit_values("StateDirectoryMode") == unit_values("RuntimeDirectoryMode") == ["0700"]


def test_every_secret_is_handed_over_and_used() -> None:
    handed = dict(item.split(":") for item in unit_values("LoadCredential"))
    used = {name: text for name, text in systemd_environ().items() if text.startswith("%d/")}
    assert {text.removeprefix("%d/") for text in used.values()} == handed.keys()
    assert handed[used["MTLS_SERVER_KEY"].removeprefix("%d/")] == default("server_key")


def test_settings_file_is_the_one_that_ships() -> None:
    (path,) = unit_values("EnvironmentFile")
    assert (DEPLOY / "systemd" / path.rsplit("/", 1)[1]).exists()


def test_only_the_supervisor_is_told_to_end_and_has_time_to_drain() -> None:
    assert unit_values("KillMode") == ["mixed"]
    (timeout,) = unit_values("TimeoutStopSec")
    assert seconds(timeout) > needed_to_end(systemd_environ())


def test_there_is_room_for_all_connections() -> None:
    (limit,) = unit_values("LimitNOFILE")
    assert device_connections(Limits(), Machine(file_limit=int(limit))) == Limits().max_connections
