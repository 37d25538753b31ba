"""A caller that speaks both sides of a sandbox: the user's and the device's."""
# ruff: noqa: ANN401 - options are aiohttp's own, answers are JSON of any shape

import base64
import json
from dataclasses import dataclass
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from multidict import CIMultiDictProxy

from mtls_ambassador.pki.issue import PrivateKey, make_key, public_key_pem
from mtls_ambassador.sandbox.server import SandboxServer

AUTH = "/api/devices/v1/authentication/auth_requests"
DEVAUTH = "/api/management/v2/devauth"
LOGIN = "/api/management/v1/useradm/auth/login"
USER, PASSWORD = "mtls@example.com", "sandbox-only"


def sign(key: PrivateKey, body: bytes) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(body, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(body)
    else:
        signature = key.sign(body, padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode()


@dataclass
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert set(self.json) == {"error", "request_id"}
        assert self.json["request_id"] == self.headers["X-MEN-RequestID"]
        return str(self.json["error"])


class Caller:
    """Calls a sandbox as a user, and as a device when given a token."""

    def __init__(self, sandbox: SandboxServer, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session
        self.token = ""

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        async with self.session.request(method, self.sandbox.url + path, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def login(self, user: str = USER, password: str = PASSWORD, **options: Any) -> Answer:
        headers = {"Authorization": aiohttp.encode_basic_auth(user, password), **options.pop("headers", {})}
        return await self.call("POST", LOGIN, headers=headers, **options)

    async def manage(self, method: str, path: str, **options: Any) -> Answer:
        if not self.token:
            self.token = (await self.login()).text
        return await self.call(method, path, headers={"Authorization": f"Bearer {self.token}"}, **options)

    async def as_device(self, method: str, path: str, token: str, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return await self.call(method, path, headers=headers, **options)

    async def authorize(self, identity: str, key: PrivateKey, **changes: Any) -> Answer:
        body = changes.get("body") or auth_body(identity, key)
        headers = {"Content-Type": "application/json", "X-MEN-Signature": changes.get("signature", sign(key, body))}
        headers |= changes.get("headers", {})
        return await self.call("POST", AUTH, data=body, headers={k: v for k, v in headers.items() if v is not None})

    async def enrol(self, identity: str = '{"mac":"02:00:00:00:00:01"}', key: PrivateKey | None = None) -> "Enrolled":
        """Preauthorize and log in a device."""
        key = key or make_key()
        preauth = {"identity_data": json.loads(identity), "pubkey": public_key_pem(key)}
        made = await self.manage("POST", f"{DEVAUTH}/devices", json=preauth)
        assert made.status == 201
        answer = await self.authorize(identity, key)
        assert answer.status == 200
        return Enrolled(made.headers["Location"].removeprefix("devices/"), answer.text, key)

    async def set_status(self, device_id: str, status: str, number: int = 0) -> Answer:
        device = (await self.manage("GET", f"{DEVAUTH}/devices/{device_id}")).json
        auth_id = device["auth_sets"][number]["id"]
        path = f"{DEVAUTH}/devices/{device_id}/auth/{auth_id}/status"
        return await self.manage("PUT", path, json={"status": status})


@dataclass
class Enrolled:
    id: str
    token: str
    key: PrivateKey


def auth_body(identity: str, key: PrivateKey) -> bytes:
    return json.dumps({"id_data": identity, "tenant_token": "", "pubkey": public_key_pem(key)}).encode() + b"\n"
