"""Upstream's certificate must chain to the CA and carry the host's name or address, unless told not to look."""

import ssl
from pathlib import Path

import pytest

from mtls_ambassador.pki.issue import Pair, make_ca, make_server
from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Files, Pki, validity
from support.upstream import Upstream

CALL = request("/api/devices/v1/x")
MENDER_CA = make_ca("Mender CA", validity())


def server(names: list[str], folder: Path, ca: Pair = MENDER_CA) -> ssl.SSLContext:
    files = Files.write(folder, "mender", make_server(ca, names, validity()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    return context


@pytest.mark.parametrize(
    ("names", "host", "environ", "good"),
    [
        (["localhost"], "localhost", {}, True),
        (["127.0.0.1"], "127.0.0.1", {}, True),
        (["mender.example"], "localhost", {}, False),
        (["mender.example"], "127.0.0.1", {}, False),
        (["localhost"], "localhost", {"MTLS_MENDER_CERT": ""}, False),
        (["mender.example"], "localhost", {"MTLS_MENDER_CERT": "", "MTLS_INSECURE_SKIP_VERIFY": "true"}, True),
    ],
)
async def test_only_the_right_server_gets_calls(
    tmp_path: Path, names: list[str], host: str, environ: dict[str, str], *, good: bool
) -> None:
    pki = Pki(tmp_path)
    mender_ca = tmp_path / "mender-ca.pem"
    mender_ca.write_bytes(MENDER_CA.certificate_pem)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running(tls=server(names, tmp_path)) as upstream,
        Gateway.running(
            pki,
            f"https://{host}:{upstream.port}",
            command=STUB,
            environ={"MTLS_MENDER_CERT": str(mender_ca)} | environ,
        ) as gateway,
    ):
        answer = await ask(gateway.port, context, CALL)
        assert answer.status == (200 if good else 503)
        assert len(upstream.requests) == int(good)
        if good:
            assert upstream.requests[0].values("host") == [f"{host}:{upstream.port}"]
