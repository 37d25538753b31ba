"""The template file of `image provision`: TOML to rules. Pure: text in, values out."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mtls_ambassador.image.entry import text
from mtls_ambassador.image.layout import Roles
from mtls_ambassador.image.template import PLACE, Rule, Source, Template
from mtls_ambassador.image.tree import parse_path
from mtls_ambassador.model.errors import AmbassadorError, FaultsError

_MODE = re.compile(r"(?:0o?)?[0-7]{1,4}")
_MAX_ID = 2**32 - 2
_TOP = {"partitions", "file"}
_FILE = {"path", "content", "text", "file", "mode", "uid", "gid", "optional"}
_PARTS = {"boot", "rootfs", "data"}


def parse_template(content: str, name: str, read: Callable[[str], bytes]) -> Template:
    """A template file; `read` gives the bytes of a file beside it.

    Raises FaultsError with every fault and the place it is at; then nothing of it is used.
    """
    try:
        values = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise AmbassadorError(f"{name}: not TOML: {error}") from None
    faults: list[str] = [f"{key!r} is unknown; right are [partitions] and [[file]]" for key in _unknown(values, _TOP)]
    rules = []
    files = values.get("file")
    for number, entry in enumerate(files if isinstance(files, list) else [], 1):
        try:
            rules.append(_rule(entry, read))
        except (AmbassadorError, ValueError) as error:
            faults.append(f"file {number}: {error}")
    try:
        roles = _roles(values["partitions"]) if "partitions" in values else None
    except (TypeError, ValueError) as error:
        roles = None
        faults.append(f"[partitions]: {error}")
    faults += _together(rules) if not faults else []
    if faults:
        raise FaultsError([f"{name}: {fault}" for fault in faults])
    return Template(tuple(rules), roles)


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a table")  # noqa: TRY004 - told as one fault among others
    return value


def _unknown(values: Iterable[str], known: set[str]) -> list[str]:
    return [key for key in values if key not in known]


def _rule(entry: Any, read: Callable[[str], bytes]) -> Rule:  # noqa: ANN401 - any TOML value
    if unknown := _unknown(_table(entry), _FILE):
        raise ValueError(f"{unknown[0]!r} is unknown; right are {', '.join(sorted(_FILE))}")
    path = parse_path(_text(entry, "path"))
    given = [key for key in ("content", "text", "file") if key in entry]
    if not path or len(given) != 1:
        raise ValueError("needs `path`, and one of `content`, `text` and `file`")
    source = _source(_text(entry, "content")) if "content" in entry else None
    content = _text(entry, "text") if "text" in entry else ""
    if any(found[2] for found in PLACE.finditer(content)):
        raise ValueError("a brace that is none of {name}, {serial}, {device_type}, {identity…} is written twice: {{")
    fixed = read(_text(entry, "file")) if "file" in entry else None
    ids = _number(entry, "uid"), _number(entry, "gid")
    return Rule(path, source, content, fixed, _mode(entry), *ids, is_optional=entry.get("optional") is True)


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"`{key}` must be a text in quotes")  # noqa: TRY004 - told as one fault among others
    return value


def _number(entry: Mapping[str, Any], key: str) -> int | None:
    if key not in entry:
        return None
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_ID:
        raise ValueError(f"`{key}` must be a number")
    return value


def _source(name: str) -> Source:
    try:
        return Source(name)
    except ValueError:
        raise ValueError(f"content {name!r} is unknown; right are {', '.join(Source)}") from None


def _mode(entry: Mapping[str, Any]) -> int | None:
    if "mode" not in entry:
        return None
    if not _MODE.fullmatch(_text(entry, "mode")):
        raise ValueError('`mode` is octal and in quotes, such as "600"')
    return int(entry["mode"].removeprefix("0o"), 8)


def _roles(values: Any) -> Roles:  # noqa: ANN401 - any TOML value
    if unknown := _unknown(_table(values), _PARTS):
        raise ValueError(f"{unknown[0]!r} is unknown; right are boot, rootfs, data")
    rootfs = values.get("rootfs")
    if not isinstance(rootfs, list) or not 1 <= len(rootfs) <= 2 or not all(map(_is_number, rootfs)):  # noqa: PLR2004 - A and B
        raise ValueError("`rootfs` must be a list of one or two numbers of partitions, such as [2, 3]")
    others = {key: values[key] for key in ("boot", "data") if key in values}
    if not all(map(_is_number, others.values())):
        raise ValueError("`boot` and `data` must be numbers of partitions")
    return Roles(tuple(rootfs), **others)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _together(rules: list[Rule]) -> Iterator[str]:
    """What only shows when all files are seen."""
    for source in (Source.KEY, Source.CERTIFICATE):
        if sum(rule.source is source for rule in rules) != 1:
            yield f'exactly one file must have content = "{source}"'
    paths = [rule.path for rule in rules]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield f"{text(path)} is there twice"
