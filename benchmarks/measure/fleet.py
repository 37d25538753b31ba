"""Auth requests of many devices, ready to be sent: bytes as Envoy hands them to the decision service."""

from enum import StrEnum
from urllib.parse import quote

from measure.gateway import validity
from mtls_ambassador.pki.issue import KeyKind, Pair, PrivateKey, make_device, make_key
from mtls_ambassador.sandbox import device_wire as wire

RSA_KEYS = 8
"""RSA-3072 keys take half a second each, so that many devices share a few; their certificates do not."""


class Fleet(StrEnum):
    """The kinds of key measured."""

    P256 = "P-256"
    RSA = "RSA-3072"
    ED25519 = "Ed25519"


_KINDS = {Fleet.P256: KeyKind.P256, Fleet.RSA: KeyKind.RSA, Fleet.ED25519: KeyKind.ED25519}


def make_fleet(kind: Fleet, ca: Pair, count: int) -> list[bytes]:
    """The auth requests of `count` devices, each with its own certificate, key kind as asked for, and identity.

    RSA devices sign with one of a few keys and carry a P-256 certificate of their own.
    """
    shared = [make_key(_KINDS[kind]) for _ in range(RSA_KEYS)] if kind is Fleet.RSA else []
    devices = []
    for number in range(count):
        own = make_key(KeyKind.P256 if shared else _KINDS[kind])
        certificate = make_device(ca, f"{kind}-{number}", validity(), key=own).certificate_pem
        key = shared[number % RSA_KEYS] if shared else own
        devices.append(_http(f"{kind}-{number}", key, certificate))
    return devices


def _http(name: str, key: PrivateKey, certificate_pem: bytes) -> bytes:
    """What Mender's C++ client sends, with what Envoy adds."""
    style = wire.ClientStyle.CPP
    auth = wire.make_auth_request({"mac": name, "sn": f"serial-of-{name}"}, key, style=style)
    headers = {
        "host": "mender.example.com",
        **wire.client_headers(style),
        **wire.auth_headers(auth, tenant_token="", style=style),
        "content-length": str(len(auth.body)),
        "x-forwarded-for": "192.0.2.7",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "gateway.example.com",
        "x-men-requestid": "6f1c2f6e-7d0a-4c0e-9a52-0d4d5f6f8f11",
        "x-mtls-peer-certificate": quote(certificate_pem),
    }
    head = "".join(f"{field}: {value}\r\n" for field, value in headers.items())
    return f"POST {wire.AUTH_PATH} HTTP/1.1\r\n{head}\r\n".encode() + auth.body
