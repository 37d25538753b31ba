"""Who uses the operator page or the management API, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What somebody may do; write includes read."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Operator:
    """A person, or a program with a token."""

    name: str
    """As the audit has it."""
    scope: Scope
    how: str
    """How they are known: `loopback`, `password`, `proxy` or `token`."""

    def may(self, scope: Scope) -> bool:
        """Whether that is within what they may do."""
        return self.scope is Scope.WRITE or scope is Scope.READ
