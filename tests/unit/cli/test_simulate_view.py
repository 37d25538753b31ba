"""The summary a person reads."""

import pytest

from mtls_ambassador.cli.simulate_view import print_summary
from mtls_ambassador.sandbox.device_errors import DeviceError, Failure, Step
from mtls_ambassador.sandbox.fleet_report import FleetReport, StepTally


def test_the_summary_names_counts_times_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    enrol = StepTally(ok=9, failed=1)
    enrol.durations.add(0.0125)
    enrol.add_failure(DeviceError(Step.ENROL, Failure.HTTP, "HTTP 401 [bold]unauthorized"))
    print_summary(FleetReport(10, {"enrol": enrol}, through=9, elapsed=3, stopped="interrupted"))
    text = capsys.readouterr().out
    assert "12.5" in text
    assert "HTTP 401 [bold]unauthorized" in text, "what a server says is text, not markup"
    assert "9 of 10 devices came through in 3.0 s, 3.0 per second" in text
    assert "Stopped early: interrupted" in text


def test_no_errors_no_table_of_errors(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(FleetReport(1, {"enrol": StepTally(ok=1)}, through=1, elapsed=1))
    assert "count" not in capsys.readouterr().out
