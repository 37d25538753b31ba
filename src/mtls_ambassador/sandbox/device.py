"""One simulated device: connects with its certificate and speaks Mender's device API as the real clients do."""

import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from mtls_ambassador.sandbox import device_wire as wire
from mtls_ambassador.sandbox.device_errors import DeviceError, Failure, Step, connection_error, http_error
from mtls_ambassador.sandbox.device_tls import client_context, find_alert
from mtls_ambassador.sandbox.device_values import Answer, Deployment, DeviceConfig, Download, read_deployment
from mtls_ambassador.sandbox.device_wire import AuthRequest, ClientStyle

__all__ = [
    "Answer",
    "AuthRequest",
    "ClientStyle",
    "Deployment",
    "DeviceConfig",
    "DeviceError",
    "Download",
    "Failure",
    "SimulatedDevice",
    "Step",
    "client_context",
]

CHUNK = 1 << 18
OK, NO_CONTENT, PARTIAL, UNAUTHORIZED, NOT_FOUND, METHOD_NOT_ALLOWED = 200, 204, 206, 401, 404, 405


@dataclass(slots=True)
class SimulatedDevice:
    """One device; use it as `async with SimulatedDevice(config) as device`. Every failure is a `DeviceError`."""

    config: DeviceConfig
    token: str = field(default="", repr=False)
    """The device JWT of the last successful `authorize`."""
    _context: ssl.SSLContext | None = field(default=None, init=False, repr=False)
    _session: aiohttp.ClientSession | None = field(default=None, init=False, repr=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the kept connection, if there is one; the device may be used again and connects anew."""
        session, self._session = self._session, None
        self._context = None
        if session is not None:
            await session.close()

    def auth_request(self) -> AuthRequest:
        """The auth request this device sends; change it with `dataclasses.replace` to forge one."""
        config = self.config
        key = config.auth_key or (config.pair.key if config.pair else None)
        if key is None:
            raise ValueError("a device without a certificate needs an auth_key to sign its auth requests")
        return wire.make_auth_request(config.identity, key, tenant_token=config.tenant_token, style=config.style)

    async def authorize(self, request: AuthRequest | None = None) -> str:
        """Ask for a token and keep it; returns the JWT. Not being accepted yet is a DeviceError with status 401."""
        request = request or self.auth_request()
        headers = wire.auth_headers(request, tenant_token=self.config.tenant_token, style=self.config.style)
        answer = await self._exchange(Step.ENROL, "POST", wire.AUTH_PATH, body=request.body, headers=headers)
        if answer.status != OK:
            raise _refused(Step.ENROL, answer)
        self.token = answer.body.decode()
        return self.token

    async def send_inventory(self, attributes: Mapping[str, str | list[str]] | None = None) -> None:
        """Replace the inventory: PUT, or PATCH where PUT is not allowed; by default device type and artifact name."""
        config = self.config
        attributes = attributes or {"device_type": config.device_type, "artifact_name": config.artifact_name}
        body = wire.inventory_body(attributes, config.style)
        answer = await self.call("PUT", wire.INVENTORY_PATH, body=body, step=Step.INVENTORY)
        if answer.status == METHOD_NOT_ALLOWED and config.style is ClientStyle.GO:
            answer = await self.call("PATCH", wire.INVENTORY_PATH, body=body, step=Step.INVENTORY)
        if answer.status != OK:
            raise _refused(Step.INVENTORY, answer)

    async def poll_deployment(self) -> Deployment | None:
        """Ask for the next deployment, newest API first, as the client does; None when there is none."""
        answer = Answer(NOT_FOUND, {}, b"")
        for call in wire.next_calls(self.config.device_type, self.config.artifact_name, self.config.style):
            path = str(URL(call.path).with_query(call.query)) if call.query else call.path
            answer = await self.call(call.method, path, body=call.body, step=Step.POLL)
            if answer.status != NOT_FOUND:
                break
        if answer.status == NO_CONTENT:
            return None
        if answer.status != OK:
            raise _refused(Step.POLL, answer)
        return read_deployment(answer)

    async def report_status(self, deployment_id: str, status: str, substate: str = "") -> None:
        """Report a deployment's status in Mender's words: downloading, installing, success, failure and so on."""
        path = f"{wire.DEPLOYMENTS_PATH}/{deployment_id}/status"
        body = wire.status_body(status, substate, self.config.style)
        answer = await self.call("PUT", path, body=body, step=Step.STATUS)
        if answer.status != NO_CONTENT:
            raise _refused(Step.STATUS, answer)

    async def download(
        self, uri: str, *, start: int = 0, end: int | None = None, sink: Callable[[bytes], object] | None = None
    ) -> Download:
        """Fetch `uri` (absolute, or a path here), streamed and hashed; `start`/`end` make a Range, `end` included.

        An absolute URI is presigned and gets no token, as in the clients; a path gets the token.
        """
        headers = {} if URL(uri).absolute else self._bearer()
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end}"
        digest, size = hashlib.sha256(), 0
        async with self._open(Step.DOWNLOAD, "GET", uri, headers=headers) as response:
            if response.status != (PARTIAL if "Range" in headers else OK):
                raise _refused(Step.DOWNLOAD, await _read(response))
            async for chunk in response.content.iter_chunked(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if sink is not None:
                    sink(chunk)
            return Download(response.status, size, digest.hexdigest(), response.headers.get("Content-Range", ""))

    @contextlib.asynccontextmanager
    async def open_websocket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """The WebSocket that mender-connect holds; aiohttp answers the server's pings by itself."""
        async with self._client() as client:
            try:
                socket = await client.ws_connect(
                    self._url(wire.CONNECT_PATH),
                    protocols=[wire.CONNECT_PROTOCOL],
                    headers=self._bearer(),
                    max_msg_size=8 << 20,
                    ssl=self._ssl(),
                    server_hostname=self.config.server_hostname or None,
                )
            except (aiohttp.ClientError, OSError) as error:
                raise await self._explained(Step.WEBSOCKET, error) from error
            async with socket:
                yield socket

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        step: Step = Step.CALL,
    ) -> Answer:
        """Any call with this device's token; any status is an answer. JSON is assumed of a body unless headers say."""
        headers = dict(headers or {})
        if body is not None and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        answer = await self._exchange(step, method, path, body=body, headers=self._bearer() | headers)
        repeatable = body is None or isinstance(body, bytes)
        if answer.status != UNAUTHORIZED or not self.config.reauthorize or not repeatable:
            return answer
        await self.authorize()
        return await self._exchange(step, method, path, body=body, headers=self._bearer() | headers)

    async def _exchange(
        self,
        step: Step,
        method: str,
        path: str,
        *,
        body: bytes | AsyncIterator[bytes] | None,
        headers: Mapping[str, str],
    ) -> Answer:
        async with self._open(step, method, path, body=body, headers=headers) as response:
            return await _read(response)

    @contextlib.asynccontextmanager
    async def _open(
        self,
        step: Step,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; what goes wrong below HTTP, until the last byte is read, comes out as a DeviceError."""
        try:
            async with (
                self._client() as client,
                client.request(
                    method,
                    self._url(target),
                    data=body,
                    headers=headers,
                    chunked=(isinstance(body, bytes) and wire.is_chunked(target, headers, self.config.style)) or None,
                    ssl=self._ssl(),
                    server_hostname=self.config.server_hostname or None,
                    allow_redirects=self.config.style is ClientStyle.GO,
                ) as response,
            ):
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise await self._explained(step, error) from error

    async def _explained(self, step: Step, error: BaseException) -> DeviceError:
        """The error, with the alert that a reset may have overtaken."""
        found = connection_error(step, error)
        if found.failure is Failure.DISCONNECTED and isinstance(context := self._ssl(), ssl.SSLContext):
            alert = await find_alert(self.config, context)
            return connection_error(step, alert) if alert else found
        return found

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[aiohttp.ClientSession]:
        """The kept session of the Go client; for the C++ client a new one, so a new connection, each time."""
        if self.config.style is ClientStyle.CPP:
            async with self._new_session() as session:
                yield session
            return
        if self._session is None:
            self._session = self._new_session()
        yield self._session

    def _new_session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=None, connect=self.config.timeout, sock_read=self.config.timeout)
        return aiohttp.ClientSession(
            timeout=timeout,
            headers=wire.client_headers(self.config.style),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=CHUNK,
        )

    def _ssl(self) -> ssl.SSLContext | bool:
        if URL(self.config.url).scheme != "https":
            return True
        if self._context is None:
            self._context = client_context(self.config)
        return self._context

    def _url(self, target: str) -> URL:
        return URL(self.config.url).join(URL(target, encoded=True))

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


async def _read(response: aiohttp.ClientResponse) -> Answer:
    body = await response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, body)


def _refused(step: Step, answer: Answer) -> DeviceError:
    return http_error(step, answer.status, answer.body, answer.headers.get("retry-after", ""))
