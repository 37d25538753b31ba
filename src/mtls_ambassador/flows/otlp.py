"""Traces by OpenTelemetry: sent in batches by a thread of their own, so that no device waits for who collects them.

A collector that is away or slow costs what its queue holds and nothing else; the log has it once, not each time.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import Span as Recording
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mtls_ambassador import __version__
from mtls_ambassador.model.traces import Facts, Span
from mtls_ambassador.settings import Collector

log = structlog.get_logger("traces")
QUEUE = 2_048
"""Spans that wait; with more the oldest are lost."""
BATCH = 512
EVERY = 1.0
"""Seconds between two batches."""
TIMEOUT = 2.0
"""Seconds one batch may take, attempts included, and how long batches are still begun at the end."""
CLOSE_WITHIN = 5.0
"""Seconds; the service must have ended before it is killed."""
LONGEST_TEXT = 256
"""Characters of one attribute."""
_PROPAGATOR = TraceContextTextMapPropagator()


class Exported:
    """Spans that go to a collector."""

    def __init__(self, collector: Collector, trust_store: Path) -> None:
        _silence()
        session = requests.Session()
        session.trust_env = False  # no proxy, no .netrc: Envoy's spans go straight there as well
        inner = OTLPSpanExporter(
            endpoint=str(collector),
            certificate_file=str(trust_store) if collector.server.is_tls else None,
            timeout=TIMEOUT,
            compression=Compression.NoCompression,
            session=session,
        )
        self._exporter = _SaysItOnce(inner, str(collector.server))
        # Envoy has drawn which calls are traced. What has no span of Envoy's around it is none of a device's.
        self._provider = TracerProvider(
            sampler=ParentBased(root=ALWAYS_OFF),
            resource=Resource.create({"service.name": "mtls-ambassador", "service.version": __version__}),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=LONGEST_TEXT),
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=QUEUE,
                schedule_delay_millis=EVERY * 1000,
                max_export_batch_size=BATCH,
            )
        )
        self._tracer = self._provider.get_tracer("mtls-ambassador")

    def close(self) -> None:
        """Send what waits, as far as there is time."""
        self._exporter.end()
        # A collector that drips its answer must not hold up the end.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_WITHIN)

    @contextmanager
    def of_device(self, name: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """See Traces."""
        with self._span(name, SpanKind.SERVER, {}, _PROPAGATOR.extract(headers, context=Context())) as span:
            yield span

    @contextmanager
    def of_ours(self, name: str, facts: Facts) -> Iterator[Span]:
        """See Traces."""
        with self._span(name, SpanKind.CLIENT, facts, None) as span:
            yield span

    @contextmanager
    def _span(self, name: str, kind: SpanKind, facts: Facts, around: Context | None) -> Iterator[Span]:
        # The text of an exception may name a device: what went wrong is said by a word.
        with self._tracer.start_as_current_span(
            name, around, kind, facts, record_exception=False, set_status_on_exception=False
        ) as span:
            yield _Recorded(span)


class _Recorded:
    def __init__(self, span: Recording) -> None:
        self._span = span

    @property
    def headers(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        _PROPAGATOR.inject(found, set_span_in_context(self._span, Context()))
        return found

    def note(self, facts: Facts) -> None:
        self._span.set_attributes(facts)

    def fail(self, why: str) -> None:
        self._span.set_attribute("error.type", why)
        self._span.set_status(Status(StatusCode.ERROR))


class _SaysItOnce(SpanExporter):
    """Tells the log when the collector goes away and when it is back, and begins no batch once the end is near."""

    def __init__(self, inner: SpanExporter, where: str) -> None:
        self._inner, self._where = inner, where
        self._is_away = False
        self._ends = float("inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if time.monotonic() >= self._ends:
            return SpanExportResult.FAILURE
        result = self._inner.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away and not self._is_away:
            log.warning("traces are lost: the collector does not take them", collector=self._where)
        elif self._is_away and not is_away:
            log.info("the collector takes traces again", collector=self._where)
        self._is_away = is_away
        return result

    def end(self) -> None:
        self._ends = time.monotonic() + TIMEOUT

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _silence() -> None:
    """The library's own lines, one for each batch and attempt, go nowhere."""
    for name in ("opentelemetry", "urllib3"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
