"""What the store denies, as it goes from the decision service to the supervisor, which never talks to the database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoreDenials:
    """All that is in force at one moment; serials are 40 lower-case digits."""

    version: int = -1
    serials: tuple[str, ...] = ()
    """Of any issuer."""
    of_issuers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the issuer's RFC 4514 text."""
    of_authorities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the hex SHA-256 of the issuer's SPKI."""
    spans: tuple[tuple[str, int, int], ...] = ()
    """Issuer's text, empty for any; begin and end in seconds since 1970."""
    issuers: tuple[str, ...] = ()
    restored: Mapping[str, float] = field(default_factory=dict)
    """Serials that an operator has let in again, and when (seconds since 1970): what a file no longer lists of them
    counts no more."""
    next_end: float | None = None
    """When the first of them ends by itself, in seconds since 1970."""
    closings: int = 0
    """Grows when the connections that are open shall be closed."""
    fault: str = ""
    """Why this is older than what the store says now; empty when it is not."""

    def to_json(self) -> str:
        """What `from_json` takes."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> "StoreDenials":
        """Raises ValueError for anything else."""
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != set(cls.__slots__):
            raise ValueError("not what the decision service writes")
        values["spans"] = tuple(tuple(span) for span in values["spans"])
        values |= {name: tuple(values[name]) for name in ("serials", "issuers")}
        for name in ("of_issuers", "of_authorities"):
            values[name] = {issuer: tuple(serials) for issuer, serials in values[name].items()}
        return cls(**values)
