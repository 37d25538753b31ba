"""Mender Gateway's JSON configuration file, flattened to texts by path such as `HTTPS.Listen`."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from mtls_ambassador.settings.files import file_fault
from mtls_ambassador.settings.foreign import FOREIGN, SILENT_JSON
from mtls_ambassador.settings.table import SETTINGS

Json: TypeAlias = "bool | float | str | list[Json] | dict[str, Json] | None"

DEFAULT_FILE = Path("/etc/mender/mender-gateway.conf")

_PATHS = (
    {setting.json for setting in SETTINGS if setting.json} | {item.json for item in FOREIGN if item.json} | SILENT_JSON
)
_KNOWN = {path.lower(): path for path in _PATHS}
_OBJECTS = {path.rsplit(".", depth)[0] for path in _KNOWN for depth in range(1, path.count(".") + 1)}


@dataclass(slots=True)
class ConfigFile:
    """What a file says; nothing when there is none."""

    path: Path | None = None
    texts: dict[str, str] = field(default_factory=dict, repr=False)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_config_file(path: Path | None, default: Path = DEFAULT_FILE) -> ConfigFile:
    """Read `path`, or `default` when it exists. Fails closed: a file that cannot be understood is a fault."""
    if path is None and not default.exists():
        return ConfigFile()
    config = ConfigFile(path or default)
    if config.path is None or (fault := file_fault(config.path)) is not None:
        config.faults.append(f"configuration file {config.path} {fault}")
        return config
    try:
        content = json.loads(config.path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        config.faults.append(f"configuration file {config.path} is not JSON: {place}: {error.msg}")
    except UnicodeDecodeError:
        config.faults.append(f"configuration file {config.path} is not UTF-8 text")
    except (OSError, RecursionError, ValueError):
        config.faults.append(f"configuration file {config.path} cannot be read")
    except _TwiceError as error:
        config.faults.append(f'configuration file {config.path} has the key "{error}" twice in one object')
    else:
        _flatten(config, content)
    return config


class _TwiceError(Exception):
    """A key appears twice."""


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Keys in any case are one, as in Go's encoding/json, which Mender Gateway is read by."""
    seen: dict[str, Json] = {}
    for key, value in pairs:
        if key.lower() in seen:
            raise _TwiceError(key)
        seen[key.lower()] = value
    return dict(pairs)


def _flatten(config: ConfigFile, content: Json) -> None:
    if not isinstance(content, dict):
        config.faults.append(f"configuration file {config.path} must hold one JSON object")
        return
    _walk(config, content, "")


def _walk(config: ConfigFile, members: Mapping[str, Json], above: str) -> None:
    for key, value in members.items():
        path = above + key
        known = _KNOWN.get(path.lower())
        if value is None or known in SILENT_JSON:
            continue
        if known is not None and isinstance(value, str | bool | int | float):
            config.texts[known] = str(value).lower() if isinstance(value, bool) else str(value)
        elif known is not None:
            config.faults.append(f"{config.path}: {path} must be a text, a number, true or false")
        elif path.lower() not in _OBJECTS:
            config.warnings.append(f"{config.path}: {path} is not known and has no effect{nearest(path, _PATHS)}")
        elif isinstance(value, dict):
            _walk(config, value, f"{path}.")
        else:
            config.faults.append(f"{config.path}: {path} must be an object in braces")


def nearest(name: str, known: frozenset[str] | set[str]) -> str:
    """A hint at the known name that is most alike, or nothing."""
    by_lower = {item.lower(): item for item in sorted(known)}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""
