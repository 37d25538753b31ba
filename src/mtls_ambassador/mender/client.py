"""Mender's management API, as far as the gateway needs it (mender-server `management_v2.yaml`, useradm).

Every method raises RefusedError: UPSTREAM_* when there is no usable answer, LOGIN_REFUSED, NOT_PERMITTED (403).
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from mtls_ambassador.mender.devices import read_device
from mtls_ambassador.mender.login import Login
from mtls_ambassador.mender.transport import Answer, Transport, raise_for_trouble
from mtls_ambassador.model.auth_request import AuthKey
from mtls_ambassador.model.device import AuthSetStatus, MenderDevice
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.model.traces import NO_TRACES, Traces
from mtls_ambassador.settings import Settings

AUTH_REQUESTS_PATH = "/api/devices/v1/authentication/auth_requests"
_DEVICES = "/api/management/v2/devauth/devices"
_LIMIT = "/api/management/v2/devauth/limits/max_devices"
_PAGE = 500
NO_HEADERS: Mapping[str, str] = {}
T = TypeVar("T", str, int)


@dataclass(frozen=True, slots=True)
class Preauthorized:
    """Mender will accept the auth request; nothing was there before."""

    device_id: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Mender knows a device of this identity already; nothing was changed."""

    device_id: str


class MenderClient:
    """One Mender server. `calls` on its transport counts what went there."""

    def __init__(self, transport: Transport, login: Login) -> None:
        self.transport = transport
        self.login = login

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, traces: Traces = NO_TRACES) -> AsyncIterator["MenderClient"]:
        """A client for `settings.upstream`, its connections closed at the end of the block."""
        async with Transport.open(settings, traces) as transport:
            yield cls(transport, Login(transport, settings))

    def renew(self, settings: Settings) -> None:
        """Other credentials, another CA of the Mender server. Raises AmbassadorError; all is then as before."""
        self.transport.renew(settings)
        self.login.renew(settings)

    async def forward_auth_request(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a device's auth request byte for byte; 429 and 5xx raise, every other answer is the device's."""
        answer = await self.transport.call("POST", AUTH_REQUESTS_PATH, headers=headers, body=body)
        raise_for_trouble(answer, "auth request")
        return answer

    async def preauthorize(
        self, identity: Identity, auth_key: AuthKey, headers: Mapping[str, str] = NO_HEADERS
    ) -> Preauthorized | Conflict:
        """Announce a device, never with `force`: that would undo a person's rejection.

        `headers` are the device's proxy headers: Enterprise counts calls by source address (MEN-9042).
        """
        # The canonical text goes in as it is: any other writing of its numbers could name another device.
        body = f'{{"identity_data":{identity.canonical},"pubkey":{json.dumps(auth_key.pem)},"force":false}}'
        answer = await self._call("POST", _DEVICES, body=body.encode(), headers=headers)
        if answer.status == HTTPStatus.CREATED:
            return Preauthorized(answer.headers.get("Location", "").rpartition("/")[2])
        if answer.status == HTTPStatus.CONFLICT:
            return Conflict(_field(answer, "id", str))
        raise _unexpected(answer, "preauthorize")

    async def get_device(self, device_id: str, headers: Mapping[str, str] = NO_HEADERS) -> MenderDevice | None:
        """A device with its auth sets; None when Mender has none of that id."""
        answer = await self._call("GET", f"{_DEVICES}/{quote(device_id, safe='')}", headers=headers)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise _unexpected(answer, "get device")
        return read_device(_json_object(answer))

    async def devices(self, status: AuthSetStatus | None = None) -> AsyncIterator[MenderDevice]:
        """All devices, or those of one status, page by page."""
        page = 1
        while True:
            query = {"page": page, "per_page": _PAGE} | ({"status": status.value} if status else {})
            answer = await self._call("GET", f"{_DEVICES}?{urlencode(query)}")
            if answer.status != HTTPStatus.OK:
                raise _unexpected(answer, "list devices")
            items = _json_list(answer)
            for item in items:
                yield read_device(item)
            if len(items) < _PAGE:
                return
            page += 1

    async def search_devices(self, ids: list[str]) -> list[MenderDevice]:
        """The devices of these ids, as far as Mender has them; at most 500 at once."""
        query = urlencode({"page": 1, "per_page": _PAGE})
        body = json.dumps({"id": ids[:_PAGE]}).encode()
        answer = await self._call("POST", f"{_DEVICES}/search?{query}", body=body)
        if answer.status != HTTPStatus.OK:
            raise _unexpected(answer, "search devices")
        return [read_device(item) for item in _json_list(answer)]

    async def count_devices(self, status: AuthSetStatus, headers: Mapping[str, str] = NO_HEADERS) -> int:
        """How many devices have this status."""
        answer = await self._call("GET", f"{_DEVICES}/count?{urlencode({'status': status.value})}", headers=headers)
        if answer.status != HTTPStatus.OK:
            raise _unexpected(answer, "count devices")
        return _field(answer, "count", int)

    async def device_limit(self, headers: Mapping[str, str] = NO_HEADERS) -> int:
        """How many devices may be accepted; -1 means no limit."""
        answer = await self._call("GET", _LIMIT, headers=headers)
        if answer.status != HTTPStatus.OK:
            raise _unexpected(answer, "get limit")
        return _field(answer, "limit", int)

    async def set_auth_set_status(
        self, device_id: str, auth_set_id: str, status: AuthSetStatus, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Change one auth set by its id. Raises also DEVICE_LIMIT (422) and REFUSED_UPSTREAM (gone, not allowed)."""
        path = f"{_DEVICES}/{quote(device_id, safe='')}/auth/{quote(auth_set_id, safe='')}/status"
        answer = await self._call("PUT", path, body=json.dumps({"status": status.value}).encode(), headers=headers)
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise RefusedError(Reason.DEVICE_LIMIT)
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
            raise RefusedError(Reason.REFUSED_UPSTREAM, f"auth set {auth_set_id}: {_error_text(answer)}")
        if answer.status != HTTPStatus.NO_CONTENT:
            raise _unexpected(answer, "set auth set status")

    async def decommission(self, device_id: str) -> bool:
        """Remove a device and all its auth sets (asynchronously); False when Mender has none of that id."""
        answer = await self._call("DELETE", f"{_DEVICES}/{quote(device_id, safe='')}")
        if answer.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
            raise _unexpected(answer, "decommission")
        return answer.status == HTTPStatus.NO_CONTENT

    async def may_preauthorize(self) -> bool:
        """Whether the login may preauthorize, asked with a body Mender refuses (400), so that nothing is made."""
        try:
            answer = await self._call("POST", _DEVICES, body=b"{}")
        except RefusedError as error:
            if error.reason is Reason.NOT_PERMITTED:
                return False
            raise
        return answer.status == HTTPStatus.BAD_REQUEST

    async def _call(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> Answer:
        token = await self.login.token()
        answer = await self._call_with(token, method, path, body, headers)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            token = await self.login.token(not_this=token)
            answer = await self._call_with(token, method, path, body, headers)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                raise RefusedError(Reason.LOGIN_REFUSED, f"{method} {path.partition('?')[0]}: {_error_text(answer)}")
        raise_for_trouble(answer, f"{method} {path.partition('?')[0]}")
        self.login.worked()
        if answer.status == HTTPStatus.FORBIDDEN:
            raise RefusedError(Reason.NOT_PERMITTED, f"{method} {path.partition('?')[0]}")
        return answer

    async def _call_with(
        self, token: str, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        own = {**headers, "Authorization": f"Bearer {token}"}
        if body is not None:
            own["Content-Type"] = "application/json"
        return await self.transport.call(method, path, headers=own, body=body)


def _unexpected(answer: Answer, doing: str) -> RefusedError:
    return RefusedError(Reason.UPSTREAM_FAILED, f"{doing}: HTTP {answer.status} {_error_text(answer)}".rstrip())


def _error_text(answer: Answer) -> str:
    try:
        return str(_json_object(answer).get("error", ""))[:200]
    except RefusedError:
        return ""


def _json(answer: Answer) -> Any:  # noqa: ANN401 - what upstream sent; the two callers check its shape
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Reason.UPSTREAM_FAILED, f"HTTP {answer.status} without JSON") from error


def _json_object(answer: Answer) -> dict[str, Any]:
    value = _json(answer)
    if not isinstance(value, dict):
        raise RefusedError(Reason.UPSTREAM_FAILED, "an answer that is not a JSON object")
    return value


def _field(answer: Answer, name: str, kind: type[T]) -> T:
    value = _json_object(answer).get(name)
    if not isinstance(value, kind) or value == "":
        raise RefusedError(Reason.UPSTREAM_FAILED, f"HTTP {answer.status} without `{name}`")
    return value


def _json_list(answer: Answer) -> list[dict[str, Any]]:
    value = _json(answer)
    if not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        raise RefusedError(Reason.UPSTREAM_FAILED, "an answer that is not a list of JSON objects")
    return value
