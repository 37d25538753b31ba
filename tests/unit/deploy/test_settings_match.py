import re
import subprocess
import sys
from pathlib import Path

import pytest

from mtls_ambassador.settings import Listen
from mtls_ambassador.settings.names import KNOWN_NAMES
from unit.deploy.dockerfile import DEPLOY, ROOT, read_stages
from unit.deploy.manifests import (
    BY_NAME,
    TEXT_FILES,
    YAML_FILES,
    default,
    environments,
    needed_to_end,
    value,
)

DOCS = [ROOT / "docs" / "operator" / name for name in ("containers.md", "kubernetes.md")]
ENVIRONMENTS = dict(environments())
YAMLLINT = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, octal-values: disable}}"


def test_yaml_is_clean() -> None:
    assert len(YAML_FILES) > 8
    subprocess.run([sys.executable, "-m", "yamllint", "--strict", "-d", YAMLLINT, *YAML_FILES], check=True)


@pytest.mark.parametrize("path", TEXT_FILES, ids=lambda path: path.name)
def test_every_variable_named_is_a_setting(path: Path) -> None:
    assert variables(path) <= BY_NAME.keys()


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_pages_name_variables_that_are_known(path: Path) -> None:
    assert variables(path) <= KNOWN_NAMES


def variables(path: Path) -> set[str]:
    return set(re.findall(r"\bMTLS_[A-Za-z_]+\b", path.read_text()))


def test_docker_command_of_the_page_is_that_of_menders() -> None:
    """Its ports, variables and mounts, in its order (Mender's page "Client certificates")."""
    command = DOCS[0].read_text().partition("docker run \\\n")[2].partition("```")[0]
    mounts = [default(name) for name in ("server_certificate", "server_key", "tenant_ca", "state_dir")]
    assert re.findall(r"-p (\S+)", command) == [f"443{default('listen')}"]
    assert re.findall(r"-e (\w+)=", command) == [
        "MTLS_MENDER_USER",
        "MTLS_MENDER_PASS",
        "MTLS_MENDER_BACKEND",
        "MTLS_DEBUG_LOG",
    ]
    assert re.findall(r"-v [^\s:]+:(\S+)", command) == mounts
    (given,) = re.findall(r"--stop-timeout (\d+)", command)
    assert int(given) > needed_to_end({})


@pytest.mark.parametrize("way", ENVIRONMENTS)
def test_every_value_is_one_the_setting_takes(way: str) -> None:
    for name, text in ENVIRONMENTS[way].items():
        setting = BY_NAME[name]
        if name in setting.names:
            setting.parse(text)
        else:
            assert Path(text.replace("%d", "/run")).is_absolute()


@pytest.mark.parametrize("way", ENVIRONMENTS)
def test_the_seeds_variables_are_given_and_the_password_is_in_a_file(way: str) -> None:
    given = ENVIRONMENTS[way].keys()
    assert {"MTLS_MENDER_USER", "MTLS_MENDER_PASS_FILE", "MTLS_MENDER_BACKEND", "MTLS_DEBUG_LOG"} <= given
    assert not [name for name in given if name in BY_NAME[name].names and BY_NAME[name].secret]


def test_image_exposes_the_listener_and_keeps_the_state_folder() -> None:
    image = read_stages()[-1]
    assert f":{image.only('EXPOSE').text}" == default("listen")
    assert image.only("VOLUME").argv == [default("state_dir")]
    assert f"-o 65534 -g 65534 {default('state_dir')}" in image.only("RUN").text


def test_admin_listener_is_open_only_where_a_network_policy_guards_it() -> None:
    for way in ("compose", "systemd"):
        assert value(ENVIRONMENTS[way], "admin_listen") == Listen("127.0.0.1", 9102)
    assert (DEPLOY / "kubernetes" / "base" / "networkpolicy.yaml").exists()


@pytest.mark.parametrize("path", [*TEXT_FILES, *DOCS], ids=lambda path: path.name)
def test_no_private_key_and_no_registry(path: Path) -> None:
    text = path.read_text()
    assert "PRIVATE KEY" not in text
    assert not re.search(r"(image|newName|FROM)[: ]+\S+\.\S+/", text)
