"""Artifacts made by the real `mender-artifact`, installable without a reboot by the module every client ships."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError

TOOL = "mender-artifact"


def available() -> str:
    """Why no artifact can be made here, or "" when it can."""
    return "" if shutil.which(TOOL) else f"{TOOL} is not installed (Debian package mender-artifact)"


def make_file_artifact(artifact_name: str, device_type: str, content: bytes, install_to: Path) -> bytes:
    """A `.mender` artifact that writes `content` to the file `install_to` on the device (module `single-file`).

    Blocks for a moment. Raises AmbassadorError with the tool's own words when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="artifact-") as name:
        folder, output = Path(name), Path(name, "out.mender")
        parts = {"dest_dir": str(install_to.parent), "filename": install_to.name, "permissions": "644"}
        for part, text in parts.items():
            (folder / part).write_text(text)
        payload = folder / "payload" / install_to.name
        payload.parent.mkdir()
        payload.write_bytes(content)
        files = [word for path in (*(folder / part for part in parts), payload) for word in ("-f", str(path))]
        command = ["write", "module-image", "-T", "single-file", "-n", artifact_name, "-t", device_type]
        argv = [TOOL, *command, "-o", str(output), *files]
        done = subprocess.run(argv, capture_output=True, check=False, text=True)  # noqa: S603 - no shell, our own words
        if done.returncode != 0:
            raise AmbassadorError(f"{TOOL}: {(done.stderr or done.stdout).strip()}")
        return output.read_bytes()
