"""Traces of devices' calls (OpenTelemetry), when asked for. Envoy begins each of them, and no device has a say in it.

A device's own `traceparent` is removed before Envoy looks for one, and the sampler would ignore it; without the request
id extension's part in it, neither `x-request-id` nor `x-envoy-force-trace` decides anything.
"""

from typing import Any

from mtls_ambassador.envoy.clusters import TRACES
from mtls_ambassador.settings import Collector, Settings

_TYPES = "type.googleapis.com/envoy.extensions"
FORGEABLE = "traceparent|tracestate|x-client-trace-id"
"""What says that a call belongs to a trace (https://www.w3.org/TR/trace-context/): from a device it is not believed."""
NAME = "mtls-ambassador-envoy"
"""The service by which these spans are known; the decision service's are `mtls-ambassador`."""
EXPORT_TIMEOUT = "2s"
URL_PREFIX = 16
"""Characters of the path in `http.url`, enough for `/api/devices/v1/`: a download's query is a key to it."""
RUNTIME = {"tracing.opentelemetry.flush_interval_ms": 1000, "tracing.opentelemetry.min_flush_spans": 256}
"""Spans go out in large pieces, at least each second."""


def tracing(settings: Settings) -> dict[str, Any]:
    """What the HTTP connection manager is told; nothing when traces are not asked for."""
    if settings.traces is None:
        return {}
    request_ids = {
        "@type": f"{_TYPES}.request_id.uuid.v3.UuidRequestIdConfig",
        "pack_trace_reason": False,
        "use_request_id_for_trace_sampling": False,
    }
    return {
        "tracing": {
            "provider": {"name": "traces", "typed_config": _provider(settings.traces, settings.traces_percent)},
            "max_path_tag_length": URL_PREFIX,
            "custom_tags": [
                {"tag": "url.path", "value": "%PATH(NQ):256%"},
                {"tag": "mender.request_id", "value": "%REQ(x-men-requestid):256%"},
            ],
        },
        "request_id_extension": {"typed_config": request_ids},
    }


def _provider(collector: Collector, percent: float) -> dict[str, Any]:
    uri = {"uri": str(collector), "cluster": TRACES, "timeout": EXPORT_TIMEOUT}
    sampler = {
        "@type": f"{_TYPES}.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig",
        "sampling_percentage": {"numerator": round(percent * 10_000), "denominator": "MILLION"},
    }
    return {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "http_service": {"http_uri": uri},
        "service_name": NAME,
        "sampler": {"name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based", "typed_config": sampler},
    }
