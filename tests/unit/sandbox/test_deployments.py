import datetime as dt
from pathlib import Path

import pytest

from mtls_ambassador.sandbox.artifact import ArtifactInfo
from mtls_ambassador.sandbox.deployments import DeploymentError, Deployments, NextRequest, Progress

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ASK = NextRequest("old", "board")


@pytest.fixture
def deployments() -> Deployments:
    made = Deployments(lambda: NOW)
    made.add_artifact(info("new"), Path("new"), 1)
    return made


def info(name: str, *types: str) -> ArtifactInfo:
    return ArtifactInfo(name, types or ("board",), (), ("script",))


def status(deployments: Deployments, deployment_id: str, device: str = "d") -> Progress:
    return deployments.get(deployment_id).devices[device].status


def refused(error: pytest.ExceptionInfo[DeploymentError]) -> int:
    return error.value.status


def test_a_device_gets_its_deployment_again_until_it_is_through(deployments: Deployments) -> None:
    made = deployments.create("one", "new", ["d"])
    assert made.status == "pending"
    for progress in (Progress.DOWNLOADING, Progress.INSTALLING, Progress.REBOOTING):
        found = deployments.next("d", ASK)
        assert found
        assert found[0] is made
        deployments.report("d", made.id, progress, "halfway")
        assert made.status == "inprogress"
    deployments.report("d", made.id, Progress.SUCCESS, "")
    assert deployments.next("d", ASK) is None
    assert (made.status, made.statistics["success"]) == ("finished", 1)
    assert made.devices["d"].finished == NOW


def test_nothing_for_other_devices(deployments: Deployments) -> None:
    deployments.create("one", "new", ["d"])
    assert deployments.next("other", ASK) is None


def test_asking_differently_in_the_middle_fails_the_deployment(deployments: Deployments) -> None:
    made = deployments.create("one", "new", ["d"])
    deployments.next("d", ASK)
    with pytest.raises(DeploymentError, match="conflicting") as error:
        deployments.next("d", NextRequest("else", "board"))
    assert (refused(error), status(deployments, made.id)) == (409, Progress.FAILURE)


def test_what_is_installed_is_not_installed_again(deployments: Deployments) -> None:
    made = deployments.create("one", "new", ["d"])
    assert deployments.next("d", NextRequest("new", "board")) is None
    assert status(deployments, made.id) is Progress.ALREADY_INSTALLED


def test_a_device_of_another_type_gets_none(deployments: Deployments) -> None:
    made = deployments.create("one", "new", ["d"])
    assert deployments.next("d", NextRequest("old", "toaster")) is None
    assert status(deployments, made.id) is Progress.NOARTIFACT


def test_the_artifact_is_chosen_by_device_type(deployments: Deployments) -> None:
    other = deployments.add_artifact(info("new", "toaster"), Path("toaster"), 1)
    deployments.create("one", "new", ["d"])
    found = deployments.next("d", NextRequest("old", "toaster"))
    assert found
    assert found[1] is other


def test_deployments_come_oldest_first_and_never_older_than_the_last_finished(deployments: Deployments) -> None:
    deployments.add_artifact(info("newer"), Path("newer"), 1)
    first, second = deployments.create("one", "new", ["d"]), deployments.create("two", "newer", ["d"])
    found = deployments.next("d", ASK)
    assert found
    assert found[0] is first
    deployments.report("d", first.id, Progress.FAILURE, "")
    found = deployments.next("d", ASK)
    assert found
    assert found[0] is second


@pytest.mark.parametrize("end", ["abort", "remove"])
def test_a_device_may_not_report_on_what_was_ended(deployments: Deployments, end: str) -> None:
    made = deployments.create("one", "new", ["d"])
    deployments.next("d", ASK)
    if end == "abort":
        deployments.abort(made.id)
    else:
        deployments.device_removed("d")
    with pytest.raises(DeploymentError) as error:
        deployments.report("d", made.id, Progress.SUCCESS, "")
    assert refused(error) == 409
    assert made.status == "finished"


def test_a_finished_deployment_cannot_be_aborted(deployments: Deployments) -> None:
    made = deployments.create("one", "new", ["d"])
    deployments.abort(made.id)
    with pytest.raises(DeploymentError) as error:
        deployments.abort(made.id)
    assert refused(error) == 422


def test_refusals(deployments: Deployments) -> None:
    made = deployments.create("one", "new", ["d"])
    with pytest.raises(DeploymentError, match="No artifact"):
        deployments.create("x", "nix", ["d"])
    with pytest.raises(DeploymentError, match="already an active deployment"):
        deployments.create("one", "new", ["d"])
    with pytest.raises(DeploymentError, match="No devices"):
        deployments.create("x", "new", [])
    with pytest.raises(DeploymentError, match="conflicting dependencies"):
        deployments.add_artifact(info("new", "board", "more"), Path("x"), 1)
    for call in (
        lambda: deployments.get("nix"),
        lambda: deployments.report("d", "nix", Progress.SUCCESS, ""),
        lambda: deployments.report("other", made.id, Progress.SUCCESS, ""),
        lambda: deployments.save_log("other", made.id, []),
    ):
        with pytest.raises(DeploymentError) as error:
            call()
        assert refused(error) == 404
