from collections.abc import Callable
from pathlib import Path

import pytest

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.settings.load import Loaded, load

Load = Callable[..., Loaded]
Faults = Callable[..., list[str]]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The least a gateway needs; files with something in them."""
    for name in ("server.crt", "server.key", "ca.pem"):
        (tmp_path / name).write_text("something")
    (tmp_path / "server.key").chmod(0o600)
    return {
        "MTLS_SERVER_CERT": str(tmp_path / "server.crt"),
        "MTLS_SERVER_KEY": str(tmp_path / "server.key"),
        "MTLS_TENANT_CA_PEM": str(tmp_path / "ca.pem"),
        "MTLS_MENDER_BACKEND": "https://hosted.mender.io",
        "MTLS_MENDER_USER": "mtls@mender.io",
        "MTLS_MENDER_PASS": "password",
    }


@pytest.fixture
def load_with(environ: dict[str, str], tmp_path: Path) -> Load:
    """Load the least settings with changes; None takes a variable away."""

    def run(config_file: Path | None = None, default_file: Path | None = None, **changes: str | None) -> Loaded:
        merged = {name: text for name, text in {**environ, **changes}.items() if text is not None}
        return load(merged, config_file=config_file, default_file=default_file or tmp_path / "none.conf")

    return run


@pytest.fixture
def faults_of(load_with: Load) -> Faults:
    """The faults of the least settings with changes."""

    def run(config_file: Path | None = None, **changes: str | None) -> list[str]:
        with pytest.raises(FaultsError) as caught:
            load_with(config_file, **changes)
        return caught.value.faults

    return run
