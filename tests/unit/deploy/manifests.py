"""The deployment files as data, and what the settings say about the names in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mtls_ambassador.flows.run_gateway import ENVOY_PATIENCE, SERVICE_PATIENCE
from mtls_ambassador.settings.parse import parse_seconds
from mtls_ambassador.settings.table import SETTINGS, Setting
from unit.deploy.dockerfile import DEPLOY

KUBERNETES = DEPLOY / "kubernetes"
VARIANTS = ("sqlite", "postgresql")
YAML_FILES = sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")])
TEXT_FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".lock")
BY_NAME = {name: setting for setting in SETTINGS for name in (*setting.names, *setting.file_names)}
BY_FIELD = {setting.field: setting for setting in SETTINGS}


def read(path: Path) -> list[Any]:
    """Every document of a YAML file."""
    return list(yaml.safe_load_all(path.read_text()))


def one(path: Path) -> Any:  # noqa: ANN401 - YAML is what it is
    """The only document of a YAML file."""
    (document,) = read(path)
    return document


def read_env(path: Path) -> dict[str, str]:
    """A file of NAME=value lines."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def compose() -> Any:  # noqa: ANN401 - YAML is what it is
    """The compose file's one service."""
    return one(DEPLOY / "docker" / "compose.yaml")["services"]["gateway"]


def compose_environ() -> dict[str, str]:
    """Its variables, by the default each has when the user sets nothing; `example` where there is none."""
    given: dict[str, str] = compose()["environment"]
    shown = {name: re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", value) for name, value in given.items()}
    return {name: re.sub(r"^\$\{\w+:\?.*\}$", "example", value) for name, value in shown.items()}


def unit() -> list[tuple[str, str]]:
    """The systemd unit's settings, in order: one name may come several times."""
    text = (DEPLOY / "systemd" / "mtls-ambassador.service").read_text()
    return [(line.partition("=")[0], line.partition("=")[2]) for line in text.splitlines() if re.match(r"\w+=", line)]


def unit_values(name: str) -> list[str]:
    """Every value of one of them."""
    return [value for key, value in unit() if key == name]


def systemd_environ() -> dict[str, str]:
    """The variables the gateway has under systemd."""
    return dict(value.split("=", 1) for value in unit_values("Environment") if value.startswith("MTLS_")) | read_env(
        DEPLOY / "systemd" / "mtls-ambassador.env"
    )


def kubernetes_environ(variant: str) -> dict[str, str]:
    """The variables the gateway has in a variant."""
    added = gateway(one(KUBERNETES / variant / "deployment.yaml")).get("env", [])
    return read_env(KUBERNETES / "base" / "settings.env") | {item["name"]: item["value"] for item in added}


def gateway(deployment: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML is what it is
    """The gateway's container, empty where a patch leaves it as it is."""
    containers = deployment["spec"]["template"]["spec"].get("containers", [{}])
    assert len(containers) == 1
    return dict(containers[0])


def environments() -> Iterator[tuple[str, dict[str, str]]]:
    """By the way of running it: the variables."""
    yield "compose", compose_environ()
    yield "systemd", systemd_environ()
    for variant in VARIANTS:
        yield variant, kubernetes_environ(variant)


def default(field: str) -> str:
    """A setting's default, as text."""
    return BY_FIELD[field].default


def value(environ: dict[str, str], field: str) -> Any:  # noqa: ANN401 - each setting has its own type
    """What a setting is with these variables."""
    setting: Setting = BY_FIELD[field]
    return setting.parse(next((environ[name] for name in setting.names if name in environ), setting.default))


def needed_to_end(environ: dict[str, str]) -> float:
    """Seconds from SIGTERM to the end at the worst."""
    return float(value(environ, "limits.drain_time")) + ENVOY_PATIENCE + SERVICE_PATIENCE


def seconds(text: str) -> float:
    """A time as compose and systemd write it."""
    return parse_seconds(0, 3600)(text)
