"""A device's identity, in the one form Mender compares.

Mender decodes `id_data` into a Go map and writes it again: keys sorted, no spaces, numbers through float64, HTML
characters escaped; the SHA-256 of that text is the identity (mender-server `model/authreq.go`, `utils/json_util.go`).
The gateway must see two identities as one exactly when Mender does: were it to read them apart, a device could ask
for another one's identity under a spelling that only Mender resolves.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

Json: TypeAlias = "bool | float | str | list[Json] | dict[str, Json] | None"

MAX_DEPTH = 32
_ESCAPES = {
    **{chr(code): f"\\u{code:04x}" for code in range(0x20)},
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_ESCAPED = re.compile("[" + re.escape("".join(_ESCAPES)) + "]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Identity:
    """The JSON object a device names itself with; equal when Mender holds it for the same device."""

    canonical: str
    """The text Mender stores and hashes."""
    attributes: Mapping[str, Json] = field(compare=False, repr=False)
    """The object's members."""

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the canonical text: Mender's own key for a device."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @classmethod
    def parse(cls, id_data: str) -> "Identity":
        """Read the string `id_data` of an auth request.

        Fails closed: what is not one JSON object, or what Mender might read otherwise, raises ValueError.
        """
        try:
            value: Json = json.loads(id_data, parse_int=_number, parse_float=_number, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - the text is at fault, not a type of ours
        if not value:
            raise ValueError("an empty object names no device")
        return cls(_write(value, MAX_DEPTH), MappingProxyType(value))

    def __str__(self) -> str:
        return self.canonical


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"number out of range: {text[:32]}")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _write(value: Json, depth: int) -> str:
    if depth == 0:
        raise ValueError("nested too deeply")
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return _write_number(value)
        case str():
            return _write_string(value)
        case list():
            return "[" + ",".join(_write(item, depth - 1) for item in value) + "]"
        case _:
            return "{" + ",".join(f"{key}:{text}" for key, text in _members(value, depth)) + "}"


def _members(value: dict[str, Json], depth: int) -> list[tuple[str, str]]:
    """Members sorted as Go sorts them: by the UTF-8 bytes of the decoded key. Lone surrogates make two keys one."""
    decoded = {_SURROGATE.sub("\ufffd", key): item for key, item in value.items()}
    if len(decoded) != len(value):
        raise ValueError("two keys that Mender would hold for one")
    return [(_write_string(key), _write(decoded[key], depth - 1)) for key in sorted(decoded, key=str.encode)]


def _write_string(text: str) -> str:
    replaced = _SURROGATE.sub("\ufffd", text)
    return '"' + _ESCAPED.sub(lambda match: _ESCAPES[match.group()], replaced) + '"'


def _write_number(value: float) -> str:
    """As Go's encoding/json: shortest digits, exponent form below 1e-6 and from 1e21 (like ECMAScript)."""
    text = repr(value)
    if value == 0 or 1e-6 <= abs(value) < 1e21:  # noqa: PLR2004 - the bounds of ECMAScript's Number::toString
        return format(Decimal(text), "f").removesuffix(".0")
    return text.replace("e-0", "e-")
