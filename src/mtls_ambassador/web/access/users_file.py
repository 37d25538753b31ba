"""The users file as it is now: read anew when it changes; a bad one leaves the last good one in force."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import structlog

from mtls_ambassador.flows.input_files import Stamp, stamp_of
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.web.access.users import User, parse_users

log = structlog.get_logger("access")
NAME = "users of the page"
LARGEST = 1024 * 1024


class UsersFile:
    """Who may use page and API. Fails closed: while no good file was ever read, nobody."""

    def __init__(self, path: Path, now: Callable[[], dt.datetime]) -> None:
        self._path, self._now = path, now
        self._users: dict[str, User] = {}
        self._stamp: Stamp = ()
        self.state = InputState(NAME, str(path), now())

    def current(self) -> dict[str, User]:
        """By name; a status call, and the file only when it has changed."""
        stamp = (stamp_of(self._path),)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._users = parse_users(self._read())
            except (AmbassadorError, OSError, ValueError) as error:
                reason = f"MTLS_ADMIN_USERS: {self._path}: {_words(error)}"
                self.state = self.state.refused(reason, self._now())
                log.error("not taken, the old one stays in force", what=NAME, reason=reason)  # noqa: TRY400 - no traceback
            else:
                self.state = InputState(NAME, str(self._path), self._now(), len(self._users))
        return self._users

    def _read(self) -> str:
        if self._path.stat().st_size > LARGEST:
            raise AmbassadorError(f"is larger than {LARGEST} bytes")
        return self._path.read_text(encoding="utf-8")


def _words(error: Exception) -> str:
    """Why, without a word of what is in the file."""
    match error:
        case AmbassadorError():
            return str(error)
        case OSError():
            return f"cannot be read: {error.strerror}"
        case _:
            return "is no UTF-8 text"
