"""What a page was asked for, read from its address; and addresses that ask for it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from mtls_ambassador.model.errors import AmbassadorError

LONGEST = 600
"""Characters of one field."""


def text(request: web.Request, name: str, limit: int = LONGEST) -> str:
    """A field without blanks around it; empty when it was not given. Raises AmbassadorError when it is too long."""
    value = request.query.get(name, "").strip()
    if len(value) > limit:
        raise AmbassadorError(f"{name}: at most {limit} characters, not {len(value)}")
    return value


def choice(request: web.Request, name: str, values: Collection[str]) -> str:
    """One of the values, or empty for any. Raises AmbassadorError for another one."""
    value = text(request, name)
    if value and value not in values:
        raise AmbassadorError(f"{name}: must be one of {', '.join(values)}, or empty")
    return value


def link(path: str, **fields: object) -> str:
    """An address; empty fields are left out."""
    given = {name: str(value) for name, value in fields.items() if value not in (None, "")}
    return f"{path}?{urlencode(given, errors='replace')}" if given else path


@dataclass(frozen=True, slots=True)
class Pages:
    """Addresses of other pages of a list; empty where there is none."""

    more: str
    first: str


def pages(path: str, fields: Mapping[str, object], after: str, following: str) -> Pages:
    """Where the next page is, and the first one when this is another; for the macro `pager`."""
    more = link(path, **{**fields, "after": following}) if following else ""
    return Pages(more, link(path, **fields) if after else "")
