"""Mender Gateway's two counters, kept by Envoy: calls and bytes of answers, by method, status code and route.

Every label has few values, whatever a device sends, and Envoy makes no more than MOST counters; what would need one
more is not counted. Mender publishes the counters' names but not those of its labels (docs.mender.io, Mender Gateway,
2.2.0); these are ours.
"""

from typing import Any, Final

REQUESTS: Final = "mender_gateway_http_requests_total"
BYTES: Final = "mender_gateway_http_response_bytes_total"
MOST: Final = 4096
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
OTHER: Final = "OTHER"
_PREFIX: Final = "mender_gateway"
STATISTICS: Final = rf"{_PREFIX}\."
"""Pattern of their names in Envoy."""
_KIND = "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config"
_METHOD = f"request.method in {list(METHODS)} ? request.method : '{OTHER}'"


def per_call() -> dict[str, Any]:
    """The access logger that counts; it writes nothing."""
    tags = [
        {"name": "method", "value_format": f"%CEL({_METHOD})%"},
        {"name": "code", "value_format": "%RESPONSE_CODE%"},
        {"name": "route", "value_format": "%ROUTE_NAME%"},
    ]
    counters = [
        {"stat": {"name": "http_requests", "tags": tags}, "value_fixed": 1},
        {"stat": {"name": "http_response_bytes", "tags": tags}, "value_format": "%BYTES_SENT%"},
    ]
    config = {"@type": _KIND, "stats_scope": {"prefix": _PREFIX, "max_counters": MOST}, "counters": counters}
    return {"name": "call counters", "typed_config": config}


def as_mender_gateway(statistics: bytes) -> bytes:
    """Envoy's answer to Prometheus with the names that Mender Gateway gives these two."""
    for name in (REQUESTS, BYTES):
        statistics = statistics.replace(f"envoy_{name.removesuffix('_total')}".encode(), name.encode())
    return statistics
