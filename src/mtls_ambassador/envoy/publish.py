"""What is given to Envoy reaches it only after the real binary has read it: stage, validate, rename."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mtls_ambassador.envoy import render
from mtls_ambassador.envoy.material import Material, denylist_resource
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.process import binary, environment
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Settings

VALIDATION_TIMEOUT = 30.0
_WRAPPING = re.compile(r"^error initializing configuration '[^']*': ")
_PLAIN = {"KEY_VALUES_MISMATCH": "the private key is not the one of the certificate"}


class Publisher:
    """Keeps the files that Envoy reads. One for the life of a gateway; not for two threads at once."""

    def __init__(self, settings: Settings, paths: RuntimePaths, machine: Machine) -> None:
        self._settings, self._paths, self._machine = settings, paths, machine
        self._written: dict[Path, str] = {}
        self._generation = 0
        self._crls: Path | None = None
        self._checked: Material | None = None

    def publish(self, material: Material) -> None:
        """Put the material in force once Envoy accepts it; until then, and otherwise, all stays as it is.

        Raises AmbassadorError with Envoy's reason; the refused configuration is kept beside as `whole.json.rejected`.
        """
        shape = _shape_of(material)
        known = shape == self._checked
        before = self._written.get(self._paths.denylist)
        if known:  # all but the serials is as it was: they are in force before a long CRL has been looked at
            self._replace(self._paths.denylist, denylist_resource(material))
        try:
            self._publish_rest(material, is_checked=known and material.crls == self._crls)
        except BaseException:
            if known and before is not None:
                self._replace(self._paths.denylist, json.loads(before))
            raise
        self._crls, self._checked = material.crls, shape

    def _publish_rest(self, material: Material, *, is_checked: bool) -> None:
        if not is_checked:
            # Of a CRL that is in force already Envoy need not be asked again.
            to_check = material if material.crls != self._crls else replace(material, crls=None)
            self._check(render.whole(self._settings, self._paths, self._machine, to_check))
        files = render.secrets(self._settings, self._paths, material)
        files[self._paths.denylist] = denylist_resource(material)
        for path, content in files.items():
            self._replace(path, content)

    def begin(self) -> None:
        """Write what Envoy starts with; the material is there already."""
        self._replace(self._paths.listeners, self._listeners())
        self._replace(self._paths.config, render.bootstrap(self._settings, self._paths, self._machine))

    def close_connections(self) -> None:
        """Have Envoy close all connections of devices that are open now, within the drain time; new ones are served."""
        self._generation += 1
        self._replace(self._paths.listeners, self._listeners())

    def _listeners(self) -> dict[str, object]:
        return render.listeners(self._settings, self._paths, self._machine, self._generation)

    def _check(self, config: Mapping[str, object]) -> None:
        staged = self._paths.directory / "whole.json"
        write_private(staged, json.dumps(config))
        reason = fault(binary(self._settings), staged)
        if reason:
            staged.replace(staged.with_name(f"{staged.name}.rejected"))
            raise AmbassadorError(f"Envoy refuses the configuration made from the settings: {reason}")
        staged.unlink()

    def _replace(self, path: Path, content: Mapping[str, object]) -> None:
        text = json.dumps(content)
        if self._written.get(path) == text:
            return
        replace_private(path, text)
        self._written[path] = text


def _shape_of(material: Material) -> Material:
    """What Envoy must look at beside CRLs: all but which serials are listed, read by a script that it has looked at."""
    return replace(material, crls=None, denylist=replace(material.denylist, path=Path("list"), size=0))


def fault(binary: Path, config: Path) -> str:
    """Why Envoy refuses this configuration file, in one line; empty when it does not."""
    argv = [str(binary), "--mode", "validate", "--log-level", "critical", "--log-format", "%v", "-c", str(config)]
    try:
        done = subprocess.run(  # noqa: S603 - our argv
            argv,
            capture_output=True,
            text=True,
            timeout=VALIDATION_TIMEOUT,
            check=False,
            env=environment(os.environ),
        )
    except OSError as error:
        raise AmbassadorError(f"{binary}: cannot run Envoy: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise AmbassadorError(f"{binary}: Envoy did not check its configuration in {VALIDATION_TIMEOUT:g} s") from error
    return "" if done.returncode == 0 else _reason(done.stderr) or f"exit code {done.returncode}"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def replace_private(path: Path, text: str) -> None:
    """Put a new version of such a file in place, whole."""
    staged = path.with_name(f"staged-{path.name}")
    write_private(staged, text)
    staged.replace(path)


def _reason(output: str) -> str:
    """The first line that says what is wrong, without our own file's path and protobuf's random runs of spaces."""
    line = next((line for line in output.splitlines() if line.strip()), "")
    plain = next((text for code, text in _PLAIN.items() if code in line), "")
    return " ".join(_WRAPPING.sub("", line).split()) + (f" ({plain})" if plain else "")
