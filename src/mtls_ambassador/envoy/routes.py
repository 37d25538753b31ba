"""Which call goes where: upstream, the decision service, or an answer of our own."""

from typing import Any

from mtls_ambassador.envoy.denylist import off_on_route
from mtls_ambassador.settings import Settings

DECISION = "decision"
UPSTREAM = "upstream"
CERTIFICATE_HEADER = "x-mtls-peer-certificate"
"""To the decision service alone: the device certificate, PEM, URL-encoded."""
REQUEST_ID_HEADER = "x-men-requestid"

AUTH_REQUESTS = "/api/devices/v1/authentication/auth_requests"
ALMOST_AUTHENTICATION = r"(?i)/api/devices/[^/]*/authentication.*"
"""Every path that any server could take for the authentication service's, whatever version, case or ending."""
AMBIGUOUS = (
    "(?i)/api/devices/([^/]*/)?[^/]*%.*"  # Envoy has decoded every escape that has one meaning
    "|.*%(25)+(2[ef]|5c|3b).*"  # a dot, slash or semicolon that is escaped more than once
    r"|.*/(%20)*\.{1,2}[;%].*|.*/(%20)+\.{1,2}(/.*)?"  # a dot segment with a parameter or a space
    "|.*%([01][0-9a-f]|7f|c[01]|e0%[89]|f0%8).*"  # a control character, or ASCII in overlong UTF-8
    "|.*%([^0-9a-f].*|.[^0-9a-f].*|.?)"  # a broken escape
)
"""Paths that a later server may read as another one than this one does; most of all where they name the service."""

DECISION_RETRIES = 3
ROUNDS = 4
"""Calls of `upstream_timeout` that one decision may make, waiting for a place included."""
BODY_TIME = 10.0
"""Seconds an auth request's body may take beside its decision, retries included."""
LARGEST_AUTH_REQUEST = 64 * 1024 + 1
"""Bytes held for the decision service: one more than its rule allows, so that the rule still has its say."""
BUFFER = "whole_request"
"""The filter that holds a request back until all of it has come; off but on the routes that name it."""
BUFFER_TYPES = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3"

NAMES = ("auth-requests", "status", "ambiguous", "authentication", "devices", "nowhere")
"""Of the routes, in the order in which they are tried."""


def virtual_host(settings: Settings) -> dict[str, Any]:
    """All routes, first match wins. Fails closed: what no route names is answered 404 here."""
    decision = _decision_route(settings)
    routes = [
        {"match": {"path": AUTH_REQUESTS}, **decision},
        {"match": {"path": "/status"}, "direct_response": _inline(200, '{"status":"ok"}')},
        {"match": _regex(AMBIGUOUS), "direct_response": _inline(400, "malformed path")},
        {"match": _regex(ALMOST_AUTHENTICATION), **decision},
        {"match": {"prefix": "/api/devices/"}, "route": _upstream_action(settings)},
        {"match": {"prefix": "/"}, "direct_response": _inline(404, "not found")},
    ]
    return {
        "name": "devices",
        "domains": ["*"],
        "request_headers_to_remove": ["x-envoy-external-address"],
        "routes": [{"name": name} | route for name, route in zip(NAMES, routes, strict=True)],
    }


def _decision_route(settings: Settings) -> dict[str, Any]:
    """To the decision service, with the certificate; it never upgrades, so nothing can be tunnelled to it.

    Whole requests only: a device that drips its body holds none of the connections that all devices share.
    """
    certificate = {
        "header": {"key": CERTIFICATE_HEADER, "value": "%DOWNSTREAM_PEER_CERT%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    action = _action(DECISION, settings)
    decided = ROUNDS * settings.limits.upstream_timeout
    action["timeout"] = f"{decided:g}s"
    action["max_stream_duration"] = {"max_stream_duration": f"{decided + BODY_TIME:g}s"}
    action["upgrade_configs"] = [{"upgrade_type": "websocket", "enabled": False}]
    action["retry_policy"] = _retry(DECISION_RETRIES) | {
        "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}
    }
    # The service's library names itself and its version there.
    return {
        "route": action,
        "request_headers_to_add": [certificate],
        "response_headers_to_remove": ["server"],
        "typed_per_filter_config": {
            BUFFER: {"@type": f"{BUFFER_TYPES}.BufferPerRoute", "buffer": _buffer()},
            **off_on_route(),
        },
    }


def whole_request() -> dict[str, Any]:
    """The buffer filter for the filter chain: not even made for a request whose route does not name it."""
    return {"name": BUFFER, "disabled": True, "typed_config": {"@type": f"{BUFFER_TYPES}.Buffer"} | _buffer()}


def _buffer() -> dict[str, Any]:
    return {"max_request_bytes": LARGEST_AUTH_REQUEST}


def _upstream_action(settings: Settings) -> dict[str, Any]:
    """To upstream with no time limit but the idle one: downloads and WebSockets take what they take."""
    return _action(UPSTREAM, settings) | {"timeout": "0s", "retry_policy": _retry(1)}


def _action(cluster: str, settings: Settings) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "host_rewrite_literal": settings.upstream.authority,
        "append_x_forwarded_host": True,
    }


def _retry(count: int) -> dict[str, Any]:
    """Again only where upstream cannot have seen the request: a call repeated by us must never act twice."""
    return {"retry_on": "connect-failure,refused-stream,reset-before-request", "num_retries": count}


def _regex(pattern: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": pattern}}


def _inline(status: int, body: str) -> dict[str, Any]:
    return {"status": status, "body": {"inline_string": body}}
