"""How it stands with a thing that the gateway is given by files, and that may change while it runs."""

import datetime as dt
from dataclasses import dataclass


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
