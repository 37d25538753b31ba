"""Settings from the environment, a file and the defaults, in that order; every fault is found in one go."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.settings.config_file import DEFAULT_FILE, ConfigFile, read_config_file
from mtls_ambassador.settings.consistency import consistency_faults, consistency_warnings
from mtls_ambassador.settings.files import file_fault, is_world_readable, read_secret
from mtls_ambassador.settings.foreign import FOREIGN
from mtls_ambassador.settings.names import unknown_names
from mtls_ambassador.settings.table import SETTINGS, Setting
from mtls_ambassador.settings.values import Limits, Settings, StoreSettings

DEFAULT = "default"
_STORE_FIELDS = {item.name for item in fields(StoreSettings)}
_LOGIN_NAMES = [
    name
    for item in SETTINGS
    if item.field in {"mender_user", "mender_password"}
    for name in (*item.names, *item.file_names)
]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that may be used, with what should be said about them."""

    settings: Settings
    warnings: tuple[str, ...]
    origins: Mapping[str, str]
    """By field: the variable, `<file>: <JSON path>`, or `default` a value came from."""


@dataclass(slots=True)
class Reading:
    """What was understood so far, faults included; `check` shows it all."""

    values: dict[str, Any] = field(default_factory=dict, repr=False)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Fields that were set, but to something of no use."""

    @property
    def settings(self) -> Settings | None:
        """The settings when every needed one has a value, even if there are faults; None otherwise."""
        if self.broken or any(item.required and item.field not in self.values for item in SETTINGS):
            return None
        limits = {name[7:]: value for name, value in self.values.items() if name.startswith("limits.")}
        rest = {name: value for name, value in self.values.items() if not name.startswith("limits.")}
        return Settings(**rest, limits=Limits(**limits))


@dataclass(frozen=True, slots=True)
class _Source:
    """A text somebody gave for a setting, and where."""

    origin: str
    text: str = field(repr=False)


def load(environ: Mapping[str, str], *, config_file: Path | None = None, default_file: Path = DEFAULT_FILE) -> Loaded:
    """The settings: the environment wins over the file, the file over defaults; empty variables count as unset.

    Raises FaultsError with every fault, each naming the variable or file and what would be right; no text in it, nor
    in the warnings, holds a secret. Fails closed: with any fault there are no settings.
    """
    reading = read(environ, config_file=config_file, default_file=default_file)
    settings = reading.settings
    if reading.faults or settings is None:
        raise FaultsError(reading.faults)
    return Loaded(settings, tuple(reading.warnings), reading.origins)


def load_store(environ: Mapping[str, str]) -> StoreSettings:
    """Where records and CAs are kept, without asking for anything the gateway alone needs; environment and defaults.

    Raises FaultsError with every fault; no text in it holds a secret.
    """
    reading = Reading()
    config = ConfigFile()
    for setting in SETTINGS:
        if setting.field in _STORE_FIELDS:
            _read_one(reading, setting, environ, config)
    if reading.faults:
        raise FaultsError([_one_line(text) for text in reading.faults])
    state = reading.values["state_dir"]
    return StoreSettings(state, reading.values.get("database_url"), reading.values.get("pki_dir", state / "pki"))


def read(environ: Mapping[str, str], *, config_file: Path | None = None, default_file: Path = DEFAULT_FILE) -> Reading:
    """As `load`, but faults are returned beside what could be understood."""
    config = read_config_file(config_file, default_file)
    reading = Reading(faults=list(config.faults), warnings=list(config.warnings))
    for setting in SETTINGS:
        _read_one(reading, setting, environ, config)
    _apply_foreign(reading, environ, config)
    _let_token_win(reading, environ, config)
    reading.faults += consistency_faults(reading.values, reading.origins, reading.broken)
    reading.warnings += consistency_warnings(reading.values, reading.origins)
    if config.path is not None and "Features.mTLS.MenderPassword" in config.texts and is_world_readable(config.path):
        reading.warnings.append(f"{config.path}: holds a password and every user of this machine may read it")
    reading.warnings += unknown_names(environ)
    reading.faults = [_one_line(text) for text in reading.faults]
    reading.warnings = [_one_line(text) for text in reading.warnings]
    return reading


def _one_line(text: str) -> str:
    """Names of files and keys are strangers' texts: none of them may forge a line of a log."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _read_one(reading: Reading, setting: Setting, environ: Mapping[str, str], config: ConfigFile) -> None:
    sources = _from_environment(reading, setting, environ)
    if not sources and setting.field not in reading.broken:
        sources = _from_file(setting, config)
    if not sources and setting.default:
        sources = [_Source(DEFAULT, setting.default)]
    parsed = [(source, value) for source in sources if (value := _parse(reading, setting, source)) is not None]
    if not parsed or setting.field in reading.broken:
        return
    first, value = parsed[0]
    for other, other_value in parsed[1:]:
        if other_value != value:
            reading.broken.add(setting.field)
            reading.faults.append(_disagreement(setting, first, other))
    reading.values[setting.field] = value
    reading.origins[setting.field] = first.origin
    if setting.is_file and isinstance(value, Path):
        _check_file(reading, setting, first.origin, value)


def _from_environment(reading: Reading, setting: Setting, environ: Mapping[str, str]) -> list[_Source]:
    sources = [_Source(name, _clean(setting, environ[name])) for name in setting.names if environ.get(name, "").strip()]
    for name in setting.file_names:
        if not environ.get(name, "").strip():
            continue
        path = Path(environ[name].strip())
        try:
            sources.append(_Source(name, read_secret(path)))
        except ValueError as error:
            reading.broken.add(setting.field)
            reading.faults.append(f"{name}: file {path} {error}")
        if is_world_readable(path):
            reading.warnings.append(f"{name}: every user of this machine may read {path}; make its mode 0600")
    return sources


def _clean(setting: Setting, text: str) -> str:
    return text.rstrip("\r\n") if setting.secret else text.strip()


def _from_file(setting: Setting, config: ConfigFile) -> list[_Source]:
    text = config.texts.get(setting.json, "")
    return [_Source(f"{config.path}: {setting.json}", _clean(setting, text))] if text.strip() else []


def _parse(reading: Reading, setting: Setting, source: _Source) -> object | None:
    try:
        return setting.parse(source.text)
    except ValueError as error:
        reading.broken.add(setting.field)
        reading.faults.append(f"{_labelled(setting, source)}: {error}")
        return None


def _labelled(setting: Setting, source: _Source) -> str:
    """Where a text came from and, unless it holds or may hold a secret, the text."""
    is_url = setting.field in {"upstream", "traces"}
    hidden = setting.secret or (is_url and any(mark in source.text for mark in "@?#"))
    return source.origin if hidden else f"{source.origin}={source.text[:200]!r}"


def _disagreement(setting: Setting, first: _Source, other: _Source) -> str:
    names = f"{_labelled(setting, first)} and {_labelled(setting, other)}"
    return f"{names} name the same setting but differ; keep one of them"


def _check_file(reading: Reading, setting: Setting, origin: str, path: Path) -> None:
    fault = file_fault(path, may_be_empty=setting.may_be_empty)
    if fault is not None and origin == DEFAULT:
        reading.faults.append(f"{setting.names[0]} is not set and its default {path} {fault}")
    elif fault is not None:
        reading.faults.append(f"{origin}: file {path} {fault}")
    elif setting.field == "server_key" and is_world_readable(path):
        reading.warnings.append(f"{origin}: every user of this machine may read {path}; make its mode 0600")


def _let_token_win(reading: Reading, environ: Mapping[str, str], config: ConfigFile) -> None:
    """A token of the environment wins over a user and password of the file, as any variable does."""
    login = ("mender_user", "mender_password")
    in_file = [name for name in login if reading.origins.get(name, "").startswith(f"{config.path}: ")]
    if "mender_token" not in reading.values or not in_file or any(environ.get(n) for n in _LOGIN_NAMES):
        return
    for name in in_file:
        reading.warnings.append(f"{reading.origins.pop(name)}: not used, {reading.origins['mender_token']} is given")
        del reading.values[name]


def _apply_foreign(reading: Reading, environ: Mapping[str, str], config: ConfigFile) -> None:
    """The environment wins over the file here too."""
    for item in FOREIGN:
        texts = {name: environ[name].strip() for name in item.names if environ.get(name, "").strip()}
        if not texts and config.texts.get(item.json, "").strip():
            texts = {f"{config.path}: {item.json}": config.texts[item.json].strip()}
        for origin, text in texts.items():
            if item.fault and item.matters(text):
                reading.faults.append(f"{origin}: {item.fault}")
            elif item.matters(text):
                reading.warnings.append(f"{origin}: {item.warning}")
