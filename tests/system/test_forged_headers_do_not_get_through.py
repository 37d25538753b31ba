"""What a device says about its own address or certificate never reaches upstream, nor the decision service."""

import ssl
from pathlib import Path
from urllib.parse import unquote

from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.upstream import Upstream

FORGED = [
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Host: forged.example",
    "X-Forwarded-Proto: gopher",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Server: forged",
    "X-Forwarded-Tls-Client-Cert: forged",
    "X-Forwarded-Client-Cert: Hash=forged",
    "Forwarded: for=6.6.6.6",
    "X-Real-IP: 6.6.6.6",
    "Client-Cert: :forged:",
    "Client-Cert-Chain: :forged:",
    "X-SSL-Client-Serial: forged",
    "X-SSL-Cert: forged",
    "SSL-Client-Cert: forged",
    "X-Client-Cert: forged",
    "X-Client-Cert-Serial: forged",
    "X-MTLS-Peer-Certificate: forged",
    "x-mtls-anything: forged",
    "X-Envoy-External-Address: 6.6.6.6",
    "X-Envoy-Original-Path: /forged",
    "X-Envoy-Retry-On: 5xx",
    "X-Original-URL: /forged",
    "X_Forwarded_For: 6.6.6.6",
    "X_SSL_CLIENT_SERIAL: forged",
]
KEPT = ["Authorization: Bearer abc", "X-MEN-Signature: c2ln", "X-Custom: one", "X-Custom: two"]


async def test_only_the_truth_arrives(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    device = pki.device()
    context = pki.client_context(device)
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        await ask(gateway.port, context, request("/api/devices/v1/inventory/device/attributes", *FORGED, *KEPT))
        arrived = upstream.requests[0].headers
        assert not [each for each in arrived if "forged" in str(each).lower() or "6.6.6.6" in each[1]], arrived
        assert {name.lower(): value for name, value in arrived if name != "x-custom"} == {
            "host": f"127.0.0.1:{upstream.port}",
            "authorization": "Bearer abc",
            "x-men-signature": "c2ln",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "https",
            "x-forwarded-host": "gateway",
            "x-men-requestid": upstream.requests[0].values("x-men-requestid")[0],
        }
        assert upstream.requests[0].values("x-custom") == ["one", "two"]

        answer = await ask(
            gateway.port, context, request("/api/devices/v1/authentication/auth_requests", *FORGED, *KEPT)
        )
        assert "server" not in answer.headers, "nobody need know what the service is made of"
        told = [(name.lower(), value) for name, value in answer.json["headers"]]
        assert not [each for each in told if "forged" in each[1].lower() or "6.6.6.6" in each[1]], told
        certificates = [unquote(value) for name, value in told if name == "x-mtls-peer-certificate"]
        assert [ssl.PEM_cert_to_DER_cert(each) for each in certificates] == [
            ssl.PEM_cert_to_DER_cert(device.certificate.read_text())
        ]


async def test_a_request_id_is_kept_or_given(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        await ask(gateway.port, context, request("/api/devices/v1/x", "X-MEN-RequestID: mine"))
        await ask(gateway.port, context, request("/api/devices/v1/x"))
        kept, given = (each.values("x-men-requestid") for each in upstream.requests)
        assert kept == ["mine"]
        assert len(given[0]) == 36
