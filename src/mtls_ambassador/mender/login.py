"""The gateway's own login at the Mender server: one token for all, one new login for many 401s (MEN-9043)."""

import asyncio
import base64
import re
import time
from http import HTTPStatus

from mtls_ambassador.mender.login_state import FAILED, HELD, NONE, REFUSED, LoginState, end_of
from mtls_ambassador.mender.transport import Transport, raise_for_trouble
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.settings import Settings

LOGIN_PATH = "/api/management/v1/useradm/auth/login"
_TOKEN = re.compile(r"[\x21-\x7e]+")
PAUSE_AFTER_REFUSAL = 5.0
"""Seconds during which a refused login is not tried again: a wrong password must not become a login storm."""


class Login:
    """Holds the management token. Raises RefusedError: LOGIN_REFUSED, or what the transport raises."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._take(settings)
        self._token: str | None = None
        self._lock = asyncio.Lock()
        self._failures = 0
        self._failed: RefusedError | None = None
        self._refused_until = 0.0
        self._word = NONE

    @property
    def state(self) -> LoginState:
        """As it is now."""
        if self._access_token is not None:
            return LoginState(self._word, "personal-access-token", end_of(self._access_token.reveal()))
        return LoginState(self._word, "session", end_of(self._token) if self._token else None)

    def worked(self) -> None:
        """Mender has taken the token for a call."""
        self._word = HELD

    def renew(self, settings: Settings) -> None:
        """Other credentials: the next call logs in with them."""
        before = self._user, self._password, self._access_token
        self._take(settings)
        if before != (self._user, self._password, self._access_token):
            self._token, self._refused_until, self._word = None, 0.0, NONE

    def _take(self, settings: Settings) -> None:
        self._user = settings.mender_user
        self._password = settings.mender_password
        self._access_token = settings.mender_token

    async def token(self, *, not_this: str | None = None) -> str:
        """A token; `not_this` is one upstream just refused, and only the first to say so causes a new login."""
        if self._access_token is not None:
            token = self._access_token.reveal()
            if token == not_this:
                self._word = REFUSED
                raise RefusedError(Reason.LOGIN_REFUSED, "the personal access token is not valid (any more)")
            return token
        failures = self._failures
        async with self._lock:
            if self._token is None or self._token == not_this:
                self._token = None
                if self._failed and self._failures != failures:
                    # Tried, and failed, while this call waited: asking again in turn would be a storm.
                    raise RefusedError(self._failed.reason, self._failed.detail, retry_after=self._failed.retry_after)
                self._token = await self._try()
            return self._token

    async def _try(self) -> str:
        try:
            return await self._log_in()
        except RefusedError as error:
            self._failures += 1
            self._failed = error
            self._word = REFUSED if error.reason is Reason.LOGIN_REFUSED else FAILED
            raise

    async def _log_in(self) -> str:
        if time.monotonic() < self._refused_until:
            raise RefusedError(Reason.LOGIN_REFUSED, "user or password is wrong")
        password = self._password.reveal() if self._password else ""
        basic = base64.b64encode(f"{self._user}:{password}".encode()).decode()
        answer = await self._transport.call("POST", LOGIN_PATH, headers={"Authorization": f"Basic {basic}"})
        raise_for_trouble(answer, "login")
        if answer.status != HTTPStatus.OK:
            self._refused_until = time.monotonic() + PAUSE_AFTER_REFUSAL
            raise RefusedError(Reason.LOGIN_REFUSED, f"HTTP {answer.status} for user {self._user}")
        token = answer.body.strip().decode("ascii", "replace")
        if not _TOKEN.fullmatch(token):
            raise RefusedError(Reason.UPSTREAM_FAILED, "login: HTTP 200 without a token")
        return token
