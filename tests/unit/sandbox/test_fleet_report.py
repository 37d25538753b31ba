"""Counting a fleet: percentiles within their promised width, reasons bounded."""

import random

import pytest

from mtls_ambassador.sandbox.device_errors import DeviceError, Failure, Step
from mtls_ambassador.sandbox.fleet_report import MAX_REASONS, OTHER, Durations, FleetReport, StepTally


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
def test_percentiles_are_two_percent_exact(percent: int) -> None:
    durations = Durations()
    spread = random.Random(7)  # noqa: S311 - the same values each time, no secret
    values = sorted(spread.lognormvariate(-3, 1) for _ in range(5000))
    for value in values:
        durations.add(value)
    exact = values[max(0, percent * len(values) // 100 - 1)]
    assert exact <= durations.percentile(percent) <= exact * 1.021


def test_nothing_measured_is_zero() -> None:
    assert Durations().percentile(99) == 0


def test_no_percentile_is_above_the_longest() -> None:
    durations = Durations()
    durations.add(0.0)
    durations.add(1.0)
    assert durations.percentile(100) == 1.0


def test_reasons_do_not_grow_without_bound() -> None:
    tally = StepTally()
    for number in range(1000):
        tally.add_failure(DeviceError(Step.ENROL, Failure.HTTP, f"reason {number}"))
    assert len(tally.reasons) == MAX_REASONS + 1
    assert tally.reasons.total() == 1000
    assert tally.reasons[OTHER] == 1000 - MAX_REASONS


def test_complete_only_when_every_device_came_through() -> None:
    report = FleetReport(2, {"enrol": StepTally()}, through=1)
    assert not report.complete
    report.steps["enrol"].failed = 1
    assert (report.ended, report.complete) == (2, False)
    report.through = 2
    assert report.complete
