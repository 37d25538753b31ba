"""What an endpoint is, and how a handler refuses."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from mtls_ambassador.model.operator import Operator, Scope
from mtls_ambassador.web.api import PREFIX
from mtls_ambassador.web.context import Context


class Nothing(msgspec.Struct):
    """No query, or no body."""


class Fault(msgspec.Struct):
    """What every refusal looks like, as Mender's do."""

    error: str
    request_id: str


class RefusalError(Exception):
    """A handler's no."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """One call, checked."""

    request: web.Request = field(repr=False)
    context: Context = field(repr=False)
    operator: Operator
    query: Any
    body: Any
    path: dict[str, str]
    request_id: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Method and path with all that may come in and go out."""

    method: str
    path: str
    """Below the prefix."""
    scope: Scope
    summary: str
    handler: Callable[[Call], Awaitable[Any]]
    answer: Any
    """Type of what the handler returns; None when it writes the answer itself."""
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] = Nothing
    can_conflict: bool = False
    is_found_by_path: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """Of the whole path; `identity` is a SHA-256, any other part a number."""
        inside = {"identity": "[0-9a-f]{64}"}
        text = re.sub(r"{(\w+)}", lambda part: f"(?P<{part[1]}>{inside.get(part[1], '[0-9]{1,18}')})", self.path)
        return re.compile(PREFIX + text)

    @property
    def failures(self) -> list[HTTPStatus]:
        """Statuses it may refuse with."""
        found = [HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN]
        if self.is_found_by_path:
            found.append(HTTPStatus.NOT_FOUND)
        if self.can_conflict:
            found.append(HTTPStatus.CONFLICT)
        if self.body is not Nothing:
            found += [HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE]
        return [*found, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE]
