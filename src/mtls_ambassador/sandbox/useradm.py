"""Mender's users as far as a gateway meets them: one user, login tokens, personal access tokens. No I/O.

Follows mender-server `services/useradm`: a login above the session cap evicts the oldest one, which is what a storm
of logins, or too many gateways on one user, does to itself.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from mtls_ambassador.sandbox.tokens import InvalidTokenError, TokenSigner

SESSIONS_PER_USER = 10
TOKENS_PER_USER = 10
MAX_TOKEN_LIFETIME = 31_536_000
"""Seconds a personal access token may live."""


class UserError(Exception):
    """A refusal: `status` and text of Mender's answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Session:
    """A token row: of a login when `name` is None, else a personal access token. Times in Unix seconds."""

    id: str
    created: float
    expires: float | None
    name: str | None = None
    last_used: float | None = None


class UserAdm:
    """The one user of the sandbox and the tokens given to it."""

    def __init__(
        self, user: str, password: str, *, signer: TokenSigner, clock: Callable[[], float], lifetime: float = 604_800
    ) -> None:
        self.user_id = str(uuid4())
        self.email = user.lower()
        self.lifetime = lifetime
        """Seconds a login lives."""
        self.session_cap = SESSIONS_PER_USER
        self._password = password
        self._signer = signer
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def login(self, user: str, password: str, *, no_expiry: bool = False) -> str:
        """A new login token; the oldest logins above the cap are gone. Fails closed: UserError 401."""
        good = hmac.compare_digest(user.lower().encode(), self.email.encode())
        if not hmac.compare_digest(password.encode(), self._password.encode()) or not good:
            raise UserError(401, "unauthorized")
        token = self._issue(None, None if no_expiry else self._clock() + self.lifetime)
        logins = [session for session in self._sessions.values() if session.name is None]
        for session in logins[: max(0, len(logins) - self.session_cap)]:
            del self._sessions[session.id]
        return token

    def check(self, token: str) -> Session:
        """The session of a token. Fails closed: UserError 401 with Mender's text for each case."""
        try:
            claims = self._signer.read(token, self._clock())
        except InvalidTokenError:
            raise UserError(401, "invalid jwt") from None
        if claims.get("mender.user") is not True:
            raise UserError(401, "invalid jwt")
        session = self._sessions.get(str(claims.get("jti")))
        if session is None:
            raise UserError(401, "unauthorized")
        session.last_used = self._clock()
        return session

    def logout(self, session: Session) -> None:
        """End one session."""
        self._sessions.pop(session.id, None)

    def expire_logins(self) -> int:
        """End all logins at once (personal access tokens stay); returns how many."""
        logins = [session for session in self._sessions.values() if session.name is None]
        for session in logins:
            del self._sessions[session.id]
        return len(logins)

    def create_token(self, name: str, expires_in: int) -> str:
        """A personal access token; `expires_in` in seconds, 0 means never."""
        if not 0 <= expires_in <= MAX_TOKEN_LIFETIME:
            raise UserError(400, f"expires_in: must be between 0 and {MAX_TOKEN_LIFETIME}.")
        tokens = self.tokens()
        if len(tokens) >= TOKENS_PER_USER:
            raise UserError(422, "maximum number of personal acess tokens reached for this user")
        if any(token.name == name for token in tokens):
            raise UserError(409, "Personal Access Token with a given name already exists")
        return self._issue(name, self._clock() + expires_in if expires_in else None)

    def tokens(self) -> list[Session]:
        """The personal access tokens, oldest first."""
        return [session for session in self._sessions.values() if session.name is not None]

    def delete_token(self, token_id: str) -> None:
        """End a personal access token; one that does not exist is as good as ended."""
        self._sessions.pop(token_id, None)

    def _issue(self, name: str | None, expires: float | None) -> str:
        now = self._clock()
        session = Session(str(uuid4()), now, expires, name)
        claims: dict[str, object] = {
            "jti": session.id,
            "sub": self.user_id,
            "iss": "mender.useradm",
            "iat": int(now),
            "scp": "mender.*",
            "mender.user": True,
            "mender.trial": False,
        }
        if expires is not None:
            claims["exp"] = int(expires)
        self._sessions[session.id] = session
        return self._signer.sign(claims)
