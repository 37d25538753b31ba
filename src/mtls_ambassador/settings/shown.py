"""Settings in force, as somebody may see them: no secret, and where each came from."""

import math
from dataclasses import dataclass

from mtls_ambassador.settings.load import DEFAULT, Loaded
from mtls_ambassador.settings.table import SETTINGS, Setting
from mtls_ambassador.settings.values import IdentityBinding, Secret, Settings


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting in words."""

    name: str
    """The variable to recommend."""
    value: str
    """Empty when there is none; `hidden` for a secret that is set."""
    origin: str
    """The variable, or `<file>: <JSON path>`, it came from; `default` when nobody gave it."""
    help: str

    @property
    def is_given(self) -> bool:
        """Whether somebody gave it."""
        return self.origin != DEFAULT


def in_force(loaded: Loaded) -> tuple[Shown, ...]:
    """All of them, in the order of the table."""
    return tuple(
        Shown(item.names[0], _text(item, loaded.settings), loaded.origins.get(item.field, DEFAULT), item.help)
        for item in SETTINGS
    )


def _text(item: Setting, settings: Settings) -> str:
    """Fails closed: what is a secret by its declaration or by its type is never put into words."""
    holder, _, name = item.field.rpartition(".")
    value = getattr(getattr(settings, holder) if holder else settings, name)
    if value is None or value in ("", ()):
        return ""
    if item.secret or isinstance(value, Secret):
        return "hidden"
    return _words(value)


def _words(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case IdentityBinding():
            return f"{value.mode.value} {value.template}".strip()
        case float():
            return "for ever" if math.isinf(value) else f"{value:g}"
        case tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)
