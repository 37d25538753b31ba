"""What a check found: good or not, what was seen, what would be right."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """Works, but somebody should know."""
    FAIL = "FAIL"
    """The gateway would not start, or devices would not get through."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. Texts hold no secret."""

    level: Level
    name: str
    """What was checked."""
    seen: str
    right: str = ""
    """What would be right; empty where all is well."""

    def __str__(self) -> str:
        text = f"{self.level:<4}  {self.name}: {self.seen}" + (f"; {self.right}" if self.right else "")
        return "".join(char if char.isprintable() else "?" for char in text)


def ok(name: str, seen: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, name, seen)


def warn(name: str, seen: str, right: str = "") -> Finding:
    """Works, but somebody should know."""
    return Finding(Level.WARN, name, seen, right)


def fail(name: str, seen: str, right: str = "") -> Finding:
    """The gateway would not start, or devices would not get through."""
    return Finding(Level.FAIL, name, seen, right)
