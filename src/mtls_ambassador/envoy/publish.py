"""A configuration reaches Envoy only after the real binary has read it: stage, validate, rename."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mtls_ambassador.envoy.process import environment
from mtls_ambassador.model.errors import AmbassadorError

VALIDATION_TIMEOUT = 30.0
_WRAPPING = re.compile(r"^error initializing configuration '[^']*': ")
_PLAIN = {"KEY_VALUES_MISMATCH": "the private key is not the one of the certificate"}


def publish(binary: Path, config: Mapping[str, object], target: Path) -> None:
    """Write `config` to `target` (mode 0600) once Envoy accepts it; an old file stays as it is until then.

    Raises AmbassadorError with Envoy's reason; the refused file is kept beside as `<name>.rejected`.
    """
    staged = target.with_name(f"staged-{target.name}")
    write_private(staged, json.dumps(config, indent=1))
    reason = fault(binary, staged)
    if reason:
        rejected = target.with_name(f"{target.name}.rejected")
        staged.replace(rejected)
        raise AmbassadorError(f"Envoy refuses the configuration made from the settings: {reason}")
    staged.replace(target)


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


def _reason(output: str) -> str:
    """The first line that says what is wrong, without our own file's path and protobuf's random runs of spaces."""
    line = next((line for line in output.splitlines() if line.strip()), "")
    plain = next((text for code, text in _PLAIN.items() if code in line), "")
    return " ".join(_WRAPPING.sub("", line).split()) + (f" ({plain})" if plain else "")
