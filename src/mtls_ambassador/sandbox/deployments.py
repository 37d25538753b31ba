"""Artifacts and deployments as a pure state machine; no I/O, the clock is passed in.

Follows mender-server `services/deployments/app/app.go` of server 4.1: the oldest active deployment first, then one
newer than the last finished; a request that differs from the running deployment's fails it.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from mtls_ambassador.sandbox.artifact import ArtifactInfo


class Progress(StrEnum):
    """Where one device is with one deployment (deployments `model/device_deployment.go`)."""

    FAILURE = "failure"
    ABORTED = "aborted"
    PAUSE_BEFORE_INSTALLING = "pause_before_installing"
    PAUSE_BEFORE_COMMITTING = "pause_before_committing"
    PAUSE_BEFORE_REBOOTING = "pause_before_rebooting"
    DOWNLOADING = "downloading"
    INSTALLING = "installing"
    REBOOTING = "rebooting"
    PENDING = "pending"
    SUCCESS = "success"
    NOARTIFACT = "noartifact"
    ALREADY_INSTALLED = "already-installed"
    DECOMMISSIONED = "decommissioned"


FINISHED = {
    Progress.FAILURE,
    Progress.ABORTED,
    Progress.SUCCESS,
    Progress.NOARTIFACT,
    Progress.ALREADY_INSTALLED,
    Progress.DECOMMISSIONED,
}


INVALID = "Invalid deployment definition"


class DeploymentError(Exception):
    """A refusal with Mender's text and status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Artifact:
    """An uploaded artifact and the file that holds it."""

    id: str
    info: ArtifactInfo
    path: Path
    size: int
    description: str
    modified: dt.datetime


@dataclass(frozen=True, slots=True)
class NextRequest:
    """What a device said of itself when it asked for work."""

    artifact_name: str
    device_type: str
    provides: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class DeviceDeployment:
    """One device's part of a deployment."""

    device_id: str
    created: dt.datetime
    status: Progress = Progress.PENDING
    substate: str = ""
    started: dt.datetime | None = None
    finished: dt.datetime | None = None
    request: NextRequest | None = None
    artifact: Artifact | None = None
    log: list[dict[str, object]] = field(default_factory=list)


@dataclass(slots=True)
class Deployment:
    """An artifact name meant for some devices."""

    id: str
    name: str
    artifact_name: str
    created: dt.datetime
    devices: dict[str, DeviceDeployment]

    @property
    def status(self) -> str:
        """`pending`, `inprogress` or `finished`."""
        states = [device.status for device in self.devices.values()]
        if all(state in FINISHED for state in states):
            return "finished"
        return "pending" if all(state is Progress.PENDING for state in states) else "inprogress"

    @property
    def statistics(self) -> dict[str, int]:
        """How many devices are where; every state is named."""
        counts = Counter(device.status for device in self.devices.values())
        return {state.value: counts[state] for state in Progress}


class Deployments:
    """All artifacts and deployments."""

    def __init__(self, clock: Callable[[], dt.datetime]) -> None:
        self.artifacts: dict[str, Artifact] = {}
        self.deployments: dict[str, Deployment] = {}
        self._clock = clock

    def add_artifact(self, info: ArtifactInfo, path: Path, size: int, description: str = "") -> Artifact:
        """Take in an artifact; one with the same name and a common device type is refused (409)."""
        for other in self.artifacts.values():
            if other.info.name == info.name and set(other.info.device_types) & set(info.device_types):
                raise DeploymentError(409, "An artifact with the same name has conflicting dependencies")
        artifact = Artifact(str(uuid4()), info, path, size, description, self._clock())
        self.artifacts[artifact.id] = artifact
        return artifact

    def create(self, name: str, artifact_name: str, device_ids: list[str]) -> Deployment:
        """A deployment for these devices: 400 without any, 422 without artifact, 409 when the same one is running."""
        if not device_ids:
            raise DeploymentError(400, "No devices for the deployment")
        if not any(artifact.info.name == artifact_name for artifact in self.artifacts.values()):
            raise DeploymentError(422, "No artifact for the deployment")
        wanted = (name, artifact_name, set(device_ids))
        for other in self.deployments.values():
            if (other.name, other.artifact_name, set(other.devices)) == wanted and other.status != "finished":
                raise DeploymentError(409, f"{INVALID}: there is already an active deployment with the same parameters")
        now = self._clock()
        devices = {device_id: DeviceDeployment(device_id, now) for device_id in device_ids}
        deployment = Deployment(str(uuid4()), name, artifact_name, now, devices)
        self.deployments[deployment.id] = deployment
        return deployment

    def next(self, device_id: str, request: NextRequest) -> tuple[Deployment, Artifact] | None:
        """What a device is to install, or None; 409 when it asks differently in the middle of a deployment."""
        for deployment, part in self._open_parts(device_id):
            if part.request not in {None, request}:
                self._move(part, Progress.FAILURE, "")
                raise DeploymentError(409, "Device provided conflicting request data")
            part.request = request
            part.started = part.started or self._clock()
            part.artifact = part.artifact or self._choose(deployment, request)
            if part.artifact is None:
                self._move(part, Progress.NOARTIFACT, "")
            elif part.status is Progress.PENDING and request.artifact_name == part.artifact.info.name:
                self._move(part, Progress.ALREADY_INSTALLED, "")
            else:
                return deployment, part.artifact
            return None
        return None

    def report(self, device_id: str, deployment_id: str, status: Progress, substate: str) -> None:
        """A device says where it is; 404 not its deployment, 409 it was aborted or the device decommissioned."""
        part = self._part(device_id, deployment_id)
        if part.status is Progress.ABORTED:
            raise DeploymentError(409, "Deployment aborted")
        if part.status is Progress.DECOMMISSIONED:
            raise DeploymentError(409, "Device decommissioned")
        self._move(part, status, substate)

    def save_log(self, device_id: str, deployment_id: str, messages: list[dict[str, object]]) -> None:
        """A device hands in why an installation failed."""
        self._part(device_id, deployment_id).log = messages

    def abort(self, deployment_id: str) -> None:
        """End a deployment for all devices that are not through."""
        deployment = self.get(deployment_id)
        if deployment.status == "finished":
            raise DeploymentError(422, "Deployment already finished")
        self._end(deployment.devices.values(), Progress.ABORTED)

    def device_removed(self, device_id: str) -> None:
        """A device is gone: its open parts end as `decommissioned`."""
        self._end((part for _, part in self._open_parts(device_id)), Progress.DECOMMISSIONED)

    def get(self, deployment_id: str) -> Deployment:
        """One deployment; DeploymentError 404."""
        if deployment_id not in self.deployments:
            raise DeploymentError(404, "Deployment not found")
        return self.deployments[deployment_id]

    def _open_parts(self, device_id: str) -> list[tuple[Deployment, DeviceDeployment]]:
        """Oldest first; none older than the last one the device has finished."""
        parts = [(d, d.devices[device_id]) for d in self.deployments.values() if device_id in d.devices]
        done = [number for number, (_, part) in enumerate(parts) if part.status in FINISHED]
        begun = [pair for pair in parts if pair[1].request and pair[1].status not in FINISHED]
        return begun + [pair for pair in parts[max(done, default=-1) + 1 :] if pair not in begun]

    def _part(self, device_id: str, deployment_id: str) -> DeviceDeployment:
        deployment = self.deployments.get(deployment_id)
        part = deployment.devices.get(device_id) if deployment else None
        if part is None:
            raise DeploymentError(404, "Resource not found")
        return part

    def _choose(self, deployment: Deployment, request: NextRequest) -> Artifact | None:
        for artifact in self.artifacts.values():
            if artifact.info.name == deployment.artifact_name and request.device_type in artifact.info.device_types:
                return artifact
        return None

    def _end(self, parts: Iterable[DeviceDeployment], status: Progress) -> None:
        for part in parts:
            if part.status not in FINISHED:
                self._move(part, status, "")

    def _move(self, part: DeviceDeployment, status: Progress, substate: str) -> None:
        part.status, part.substate = status, substate
        part.finished = self._clock() if status in FINISHED else None
