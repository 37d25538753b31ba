"""Envoy, which reads what strangers send, has none of the gateway's secrets in its environment; the service has all."""

from pathlib import Path

from support.gateway import STUB, Gateway
from support.pki import Pki

SECRETS = {
    "MTLS_MENDER_PASS": "secret-password",
    "MTLS_DATABASE_URL": "sqlite:////nowhere/secret-database",
    "UPSTREAM_SOMETHING": "secret-upstream",
    "HTTPS_SOMETHING": "secret-https",
    "SOME_OTHER_PROGRAM": "secret-other",
}
KEPT = {"TZ": "UTC", "LC_TIME": "C", "ENVOY_SOMETHING": "1"}


def environ_of(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(each.split("=", 1) for each in text.split("\0") if "=" in each)


async def test_environments(tmp_path: Path) -> None:
    environ = SECRETS | KEPT
    async with Gateway.running(Pki(tmp_path), "http://127.0.0.1:9", command=STUB, environ=environ) as gateway:
        envoy = environ_of(gateway.child("envoy"))
        assert not [value for value in envoy.values() if "secret" in value]
        assert not [name for name in envoy if name.startswith(("MTLS_", "UPSTREAM_", "HTTPS_", "HTTP_", "METRICS_"))]
        assert envoy.items() >= KEPT.items()
        assert envoy["TMPDIR"] == str(gateway.folder)
        assert environ_of(gateway.child("stub_gateway")).items() >= environ.items()
