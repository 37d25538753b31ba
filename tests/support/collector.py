"""Who collects traces: takes OTLP/HTTP as any collector does, and keeps the spans."""

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

ENVOY, SERVICE = "mtls-ambassador-envoy", "mtls-ambassador"
Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Collected:
    """One span."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    failed: bool
    facts: dict[str, Value]


@dataclass(slots=True)
class Collector:
    """What came, and what it answers."""

    port: int = 0
    spans: list[Collected] = field(default_factory=list)
    posts: int = 0
    raw: bytes = b""
    """Everything that came, as it came."""

    @classmethod
    @asynccontextmanager
    async def running(cls, port: int = 0, *, tls: ssl.SSLContext | None = None) -> AsyncIterator["Collector"]:
        """Listen on 127.0.0.1, on a free port unless told."""
        collector = cls()
        app = web.Application()
        app.router.add_post("/v1/traces", collector._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        collector.port = int(runner.addresses[0][1])
        try:
            yield collector
        finally:
            await runner.cleanup()

    @property
    def url(self) -> str:
        """What a gateway is told."""
        return f"http://127.0.0.1:{self.port}"

    def of(self, service: str, name: str = "") -> list[Collected]:
        """The spans of a service, of this name if given."""
        return [span for span in self.spans if span.service == service and name in {"", span.name}]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.posts += 1
        self.raw += body
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = str(_facts(group.resource.attributes)["service.name"])
            for scope in group.scope_spans:
                self.spans += [
                    Collected(
                        service,
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.status.code == span.status.STATUS_CODE_ERROR,
                        _facts(span.attributes),
                    )
                    for span in scope.spans
                ]
        return web.Response(content_type="application/x-protobuf")


def _facts(attributes: Iterable[KeyValue]) -> dict[str, Value]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}
