"""What a Mender client puts on the wire: the auth request, its signature, headers, order of calls. Pure."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from mtls_ambassador.pki.issue import PrivateKey, public_key_pem

API = "/api/devices/v1"
AUTH_PATH = f"{API}/authentication/auth_requests"
INVENTORY_PATH = f"{API}/inventory/device/attributes"
DEPLOYMENTS_PATH = f"{API}/deployments/device/deployments"
NEXT_V2_PATH = "/api/devices/v2/deployments/device/deployments/next"
CONNECT_PATH = f"{API}/deviceconnect/connect"
CONNECT_PROTOCOL = "protomsg/msgpack"


class ClientStyle(StrEnum):
    """Which of Mender's clients a simulated device behaves like."""

    GO = "go"
    """3.x: one keep-alive connection, body with a trailing newline."""
    CPP = "cpp"
    """4.x and 5.x: a new TCP and TLS connection for every request."""


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """The bytes of an auth request and their signature; a test may replace either one."""

    body: bytes
    signature: str
    """Standard padded base64, the value of `X-MEN-Signature`."""


def make_auth_request(
    identity: Mapping[str, object], key: PrivateKey, *, tenant_token: str = "", style: ClientStyle = ClientStyle.GO
) -> AuthRequest:
    """The auth request as that client writes it, signed over its exact bytes by `key`."""
    body = auth_body(identity, public_key_pem(key), tenant_token=tenant_token, style=style)
    return AuthRequest(body, sign(body, key))


def auth_body(identity: Mapping[str, object], public_key: str, *, tenant_token: str, style: ClientStyle) -> bytes:
    """The JSON body: Go sends `tenant_token` always and ends with a newline, C++ sends it only when set."""
    id_data = _json(dict(sorted(identity.items())))
    if style is ClientStyle.GO:
        fields = {"id_data": _go_escaped(id_data), "tenant_token": tenant_token, "pubkey": public_key}
        return (_go_escaped(_json(fields)) + "\n").encode()
    fields = {"id_data": id_data, "pubkey": public_key, "tier": "standard"}
    if tenant_token:
        fields["tenant_token"] = tenant_token
    return _json(dict(sorted(fields.items()))).encode()


def sign(body: bytes, key: PrivateKey) -> str:
    """RSA: PKCS#1 v1.5 over SHA-256; ECDSA: DER over SHA-256; Ed25519: over the body itself."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.sign(body)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        raw = key.sign(body, ec.ECDSA(hashes.SHA256()))
    else:
        raw = key.sign(body, padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(raw).decode()


def auth_headers(request: AuthRequest, *, tenant_token: str, style: ClientStyle) -> dict[str, str]:
    """Headers of the auth request; C++ sends the literal `API_KEY` where Go sends the tenant token. Go changes the
    case of every header name to its own.
    """
    headers = {"Content-Type": "application/json"}
    if style is ClientStyle.GO:
        return headers | {"Authorization": f"Bearer {tenant_token}", "X-Men-Signature": request.signature}
    return headers | {"Authorization": "API_KEY", "X-MEN-Signature": request.signature}


def client_headers(style: ClientStyle) -> dict[str, str]:
    """What that client sends with every request."""
    if style is ClientStyle.GO:
        return {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}
    return {"User-Agent": "Mender/5.1.0"}


def is_chunked(path: str, headers: Mapping[str, str], style: ClientStyle) -> bool:
    """Whether that client sends a body in chunks: Go does for everything but the auth request (seen of 3.4.0)."""
    return style is ClientStyle.GO and path != AUTH_PATH and "Content-Length" not in headers


@dataclass(frozen=True, slots=True)
class NextCall:
    """One way of asking for the next deployment."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None = None


def next_calls(device_type: str, artifact_name: str, style: ClientStyle) -> list[NextCall]:
    """The ways that client asks for the next deployment, each tried only after a 404 to the one before."""
    provides = {"artifact_name": artifact_name, "device_type": device_type}
    v2 = _json({"device_provides": provides, "update_control_map": True}).encode()
    calls = [NextCall("POST", NEXT_V2_PATH, {}, v2)]
    if style is ClientStyle.GO:
        calls.append(NextCall("POST", f"{DEPLOYMENTS_PATH}/next", {}, _json(provides).encode()))
    return [*calls, NextCall("GET", f"{DEPLOYMENTS_PATH}/next", provides)]


def inventory_body(attributes: Mapping[str, str | list[str]], style: ClientStyle) -> bytes:
    """The inventory as Mender's list of name and value."""
    return _ended(_json([{"name": name, "value": value} for name, value in attributes.items()]), style)


def status_body(status: str, substate: str, style: ClientStyle) -> bytes:
    """A deployment's status; `substate` only when there is one."""
    return _ended(_json({"status": status} | ({"substate": substate} if substate else {})), style)


def _ended(text: str, style: ClientStyle) -> bytes:
    """Go's encoder ends what it writes with a newline."""
    return (text + "\n" if style is ClientStyle.GO else text).encode()


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _go_escaped(text: str) -> str:
    r"""Go's encoder writes `<`, `>`, `&` and the two line separators as `\u....`."""
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
