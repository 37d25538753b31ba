"""What a fleet did: counts, errors by reason and durations per step, in memory that does not grow with the fleet."""

import math
from collections import Counter
from dataclasses import dataclass, field

from mtls_ambassador.sandbox.device_errors import DeviceError

_WIDTH = math.log(1.02)
_SMALLEST = 1e-5
MAX_REASONS = 50
OTHER = "other reasons"


@dataclass(slots=True)
class Durations:
    """A histogram of seconds whose buckets are 2 % wide: percentiles are that exact, memory is bounded."""

    _buckets: Counter[int] = field(default_factory=Counter)
    count: int = 0
    longest: float = 0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._buckets[math.ceil(math.log(max(seconds, _SMALLEST)) / _WIDTH)] += 1
        self.count += 1
        self.longest = max(self.longest, seconds)

    def percentile(self, percent: float) -> float:
        """Seconds that `percent` of the durations did not exceed; 0 when there are none."""
        wanted = math.ceil(self.count * percent / 100)
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(math.exp(bucket * _WIDTH), self.longest)
        return 0


@dataclass(slots=True)
class StepTally:
    """One step over all devices; durations are those of successes."""

    ok: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Failed attempts by reason; those that were tried again with success are here too."""
    durations: Durations = field(default_factory=Durations)

    def add_failure(self, error: DeviceError) -> None:
        """Count a failed attempt under its reason, the rare ones beyond the first fifty together."""
        known = error.reason in self.reasons or len(self.reasons) < MAX_REASONS
        self.reasons[error.reason if known else OTHER] += 1

    def to_json(self) -> dict[str, object]:
        """The form of `simulate --json`; times in milliseconds."""
        return {
            "ok": self.ok,
            "failed": self.failed,
            "errors": dict(self.reasons.most_common()),
            "p50_ms": milliseconds(self.durations.percentile(50)),
            "p95_ms": milliseconds(self.durations.percentile(95)),
            "p99_ms": milliseconds(self.durations.percentile(99)),
            "max_ms": milliseconds(self.durations.longest),
        }


@dataclass(slots=True)
class FleetReport:
    """Filled while the fleet runs, so that it can be shown at any moment."""

    devices: int
    """How many were asked for."""
    steps: dict[str, StepTally]
    started: int = 0
    through: int = 0
    """Devices whose every step succeeded."""
    elapsed: float = 0
    stopped: str = ""
    """Why the run ended early, or ""."""

    @property
    def ended(self) -> int:
        """Devices that are done, well or not."""
        return self.through + self.failed

    @property
    def failed(self) -> int:
        """Devices that gave up at some step."""
        return sum(step.failed for step in self.steps.values())

    @property
    def answered(self) -> bool:
        """Whether any device was answered yet."""
        return any(step.ok for step in self.steps.values())

    @property
    def complete(self) -> bool:
        """Whether every device asked for came through."""
        return self.through == self.devices

    def to_json(self) -> dict[str, object]:
        """The form of `simulate --json`."""
        return {
            "devices": self.devices,
            "started": self.started,
            "through": self.through,
            "failed": self.failed,
            "elapsed_seconds": round(self.elapsed, 3),
            "devices_per_second": round(self.through / self.elapsed, 1) if self.elapsed else 0,
            "stopped": self.stopped,
            "steps": {name: step.to_json() for name, step in self.steps.items()},
        }


def milliseconds(seconds: float) -> float:
    """Rounded to what a person wants to read."""
    return round(seconds * 1000, 1)
