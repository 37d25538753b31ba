"""How it stands with a thing that the gateway is given by files, and that may change while it runs."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class InputState:
    """What is in force, since when, and why what is there now is not."""

    name: str
    """Such as `server certificate`."""
    source: str
    """The files, or what else it comes from."""
    loaded_at: dt.datetime
    """When what is in force was loaded."""
    entries: int | None = None
    """How many there are of what it lists."""
    fault: str = ""
    """Why what is there now is not in force; empty when it is."""
    fault_since: dt.datetime | None = None
    next_update: dt.datetime | None = None
    """When the first of its CRLs is stale."""

    def taken(self, now: dt.datetime) -> "InputState":
        """What is there is in force."""
        return replace(self, loaded_at=now, fault="", fault_since=None)

    def refused(self, why: str, now: dt.datetime) -> "InputState":
        """What is there is not."""
        return replace(self, fault=why, fault_since=self.fault_since or now)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "InputState":
        """From what `json.dumps` makes of it with times in ISO form. Raises ValueError, KeyError or TypeError."""
        loaded_at = dt.datetime.fromisoformat(values["loaded_at"])
        times = {name: _time(values[name]) for name in ("fault_since", "next_update")}
        return cls(values["name"], values["source"], loaded_at, values["entries"], values["fault"], **times)


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
