"""Envoy's own answers in Mender's error shape: `{"error", "request_id"}`, and when to come back."""

from typing import Any

from mtls_ambassador.envoy.routes import REQUEST_ID_HEADER

REQUEST_ID = f"%REQ({REQUEST_ID_HEADER})%"
SOME_ID = f'%COALESCE({{"operators":[{{"command":"REQ","param":"{REQUEST_ID_HEADER}"}},"UNIQUE_ID"]}})%'
"""The request's id; one made up for a request so broken that it was answered before it got one."""
RETRY_AFTER = [(5, 25), (15, 33), (30, 50), (60, 100)]
"""Seconds to wait, and of those the earlier ones left over the percentage told so: a quarter each, so that a fleet
refused at one moment does not return at one moment."""
TEXTS = {
    400: "bad request",
    404: "not found",
    408: "request timeout",
    413: "request entity too large",
    426: "upgrade required",
    431: "request header fields too large",
    500: "internal error",
    502: "bad gateway",
}


def local_replies() -> dict[str, Any]:
    """The shape of every answer Envoy makes itself; 504 becomes 503, which Mender's clients take as "come back"."""
    return {
        "mappers": [_as_it_stands(200), _as_it_says(401), *_unavailable(503), *_unavailable(504), *map(_plain, TEXTS)],
        "body_format": _shape("%LOCAL_REPLY_BODY%"),
    }


def _as_it_stands(status: int) -> dict[str, Any]:
    text = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": "application/json"}
    return {"filter": _status(status), "body_format_override": text}


def _as_it_says(status: int) -> dict[str, Any]:
    return {
        "filter": _status(status),
        "body_format_override": _shape("%LOCAL_REPLY_BODY%"),
        "headers_to_add": _request_id(),
    }


def _unavailable(status: int) -> list[dict[str, Any]]:
    return [
        {
            "filter": {"and_filter": {"filters": [_status(status), _chance(percent)]}},
            "status_code": 503,
            "body_format_override": _shape("service unavailable"),
            "headers_to_add": [_header("retry-after", str(seconds)), *_request_id()],
        }
        for seconds, percent in RETRY_AFTER
    ]


def _plain(status: int) -> dict[str, Any]:
    return {
        "filter": _status(status),
        "body_format_override": _shape(TEXTS[status]),
        "headers_to_add": _request_id(),
    }


def _shape(text: str) -> dict[str, Any]:
    return {"json_format": {"error": text, "request_id": SOME_ID}, "content_type": "application/json"}


def _status(code: int) -> dict[str, Any]:
    value = {"default_value": code, "runtime_key": f"mtls.status.{code}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _chance(percent: int) -> dict[str, Any]:
    return {
        "runtime_filter": {
            "runtime_key": f"mtls.retry_after.{percent}",
            "percent_sampled": {"numerator": percent, "denominator": "HUNDRED"},
            "use_independent_randomness": True,
        }
    }


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _request_id() -> list[dict[str, Any]]:
    return [_header(REQUEST_ID_HEADER, REQUEST_ID)]
