"""Why a device is in, or is not: one verdict, and every step on the way to it."""

from dataclasses import dataclass
from enum import StrEnum


class StepState(StrEnum):
    """How it stands with one step."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Nothing is known that tells."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that must be so for the device to be in."""

    name: str
    state: StepState
    seen: str
    """What was seen, and when."""
    code: str = ""
    """Of the cause: a HandshakeCause, CallCause or Reason; empty unless it failed."""
    cause: str = ""
    """In plain words."""
    hint: str = ""
    """What to do about it."""
    command: str = ""
    """The next one to run."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps, in their order."""

    asked: str
    about: str
    """Whom it is about, as far as that was found out."""
    steps: tuple[Step, ...]

    @property
    def failed(self) -> Step | None:
        """The first that failed: the verdict."""
        return next((step for step in self.steps if step.state is StepState.FAILED), None)

    @property
    def is_in(self) -> bool:
        """Whether nothing keeps it out, and it was seen to come in."""
        return self.failed is None and any(step.name == ENROLLED and step.state is StepState.OK for step in self.steps)


ENROLLED = "accepted"
"""The step that says whether Mender accepted it."""
