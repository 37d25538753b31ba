"""What went wrong, told as a page: what it is, and what to do."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import web

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.reason import RefusedError

log = structlog.get_logger("page")
FOR_PROGRAMS = ("/api/", "/health", "/metrics")
"""Paths whose answers are not pages."""
HINTS = {
    HTTPStatus.UNAUTHORIZED: "Log in, and ask again.",
    HTTPStatus.FORBIDDEN: "Somebody with the scope that is named here may do it.",
    HTTPStatus.NOT_FOUND: "The address may be mistyped, or what it was about is no longer kept.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Devices that are connected go on. Ask again in a moment.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The gateway's log has the details. Devices are served all the same.",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def as_page(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors of the page as pages, without details of what is inside; those for programs are left to others."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST or is_for_programs(request):
            raise
        answer = told(request, error.status, error.text if error.text != f"{error.status}: {error.reason}" else "")
        answer.headers.update({name: error.headers[name] for name in ("Retry-After", "Allow") if name in error.headers})
        return answer
    except RefusedError as error:
        if is_for_programs(request):
            raise
        return told(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    except AmbassadorError as error:
        if is_for_programs(request):
            raise
        return told(request, HTTPStatus.BAD_REQUEST, str(error))
    except Exception:
        if is_for_programs(request):
            raise
        log.exception("page failed", path=request.path[:200])
        return told(request, HTTPStatus.INTERNAL_SERVER_ERROR, "")


def is_for_programs(request: web.Request) -> bool:
    """Whether the answer is read by a program."""
    return request.path.startswith(FOR_PROGRAMS)


def told(request: web.Request, status: int, text: str | None) -> web.Response:
    """A page that says so."""
    from mtls_ambassador.web.page.site import render  # noqa: PLC0415 - the template engine loads when needed

    phrase = HTTPStatus(status).phrase
    hint = HINTS.get(HTTPStatus(status), "")
    return render(request, "error.html", status=status, phrase=phrase, text=text or "", hint=hint)
