"""Settings for the eyes of operators: no secret among them, by whatever way it came."""

from pathlib import Path

from mtls_ambassador.settings.load import load
from mtls_ambassador.settings.shown import Shown, in_force
from mtls_ambassador.settings.table import SETTINGS


def shown(folder: Path, **environ: str) -> dict[str, Shown]:
    for name in ("crt", "key", "ca"):
        (folder / name).write_text("x")
    given = {
        "MTLS_SERVER_CERT": str(folder / "crt"),
        "MTLS_SERVER_KEY": str(folder / "key"),
        "MTLS_TENANT_CA_PEM": str(folder / "ca"),
        "MTLS_MENDER_BACKEND": "https://hosted.mender.io",
        "MTLS_MENDER_USER": "gateway@example.com",
        "MTLS_MENDER_PASS": "hunter-2",
    }
    return {item.name: item for item in in_force(load(given | environ, default_file=folder / "none"))}


def test_each_setting_is_there_once(tmp_path: Path) -> None:
    assert list(shown(tmp_path)) == [item.names[0] for item in SETTINGS]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    found = shown(tmp_path, MTLS_DATABASE_URL="postgresql://gate:hunter-2@db/fleet")
    assert "hunter-2" not in str(found)
    assert found["MTLS_MENDER_PASS"].value == "hidden"
    assert found["MTLS_DATABASE_URL"].value == "hidden"


def test_value_and_origin(tmp_path: Path) -> None:
    found = shown(tmp_path, METRICS_LISTEN="127.0.0.1:9999", MTLS_IDENTITY_BINDING="mac={cn}")
    assert (found["MTLS_ADMIN_LISTEN"].value, found["MTLS_ADMIN_LISTEN"].origin) == ("127.0.0.1:9999", "METRICS_LISTEN")
    assert found["MTLS_IDENTITY_BINDING"].value == "template mac={cn}"
    assert found["MTLS_CRL_GRACE"].value == "for ever"
    assert not found["MTLS_CRL_PATH"].value
    assert not found["MTLS_CRL_PATH"].is_given
