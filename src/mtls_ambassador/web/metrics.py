"""Counters for Prometheus, in a registry of their own."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.model.refusal import CallCause, HandshakeCause


class Metrics:
    """What the decision service counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.decisions = Counter(
            "mtls_ambassador_auth_requests", "Auth requests decided, by reason.", ["reason"], registry=self.registry
        )
        for reason in Reason:
            self.decisions.labels(reason.code)
        self.upstream_calls = Gauge(
            "mtls_ambassador_upstream_calls", "Calls the decision service made upstream.", registry=self.registry
        )
        own: dict[str, Any] = {"labelnames": ["input"], "registry": self.registry}
        self._fault = Gauge(
            "mtls_ambassador_input_fault", "1 when what is there now of an input is not in force, or is stale.", **own
        )
        self._loaded = Gauge(
            "mtls_ambassador_input_loaded_timestamp_seconds", "When what is in force of an input was loaded.", **own
        )
        self._entries = Gauge("mtls_ambassador_input_entries", "How many entries an input lists.", **own)
        self.envoy = Gauge(
            "mtls_ambassador_envoy_answers", "1 when Envoy's own statistics follow.", registry=self.registry
        )
        self.ready = Gauge("mtls_ambassador_ready", "1 when the gateway takes devices.", registry=self.registry)

    def show_ledger(self, ledger: Ledger) -> None:
        """Have what the ledger has counted told, each time that somebody asks."""
        self.registry.register(_LedgerCollector(ledger))

    def show_inputs(self, inputs: Iterable[InputState]) -> None:
        """How it stands with each input now."""
        for item in inputs:
            self._fault.labels(item.name).set(int(bool(item.fault)))
            self._loaded.labels(item.name).set(item.loaded_at.timestamp())
            if item.entries is not None:
                self._entries.labels(item.name).set(item.entries)


class _LedgerCollector(Collector):
    """The ledger's own counts, as counters: each cause is there from the start, with 0."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """For one answer."""
        totals = self._ledger.totals
        handshakes = CounterMetricFamily(
            "mtls_ambassador_handshakes_refused", "TLS handshakes refused, by cause.", labels=["cause"]
        )
        for item in HandshakeCause:
            handshakes.add_metric([item.code], totals["handshakes", item.code])
        calls = CounterMetricFamily(
            "mtls_ambassador_calls_denied", "Calls of denied certificates refused, by cause.", labels=["cause"]
        )
        for call in CallCause:
            calls.add_metric([call.code], totals["denied-calls", call.code])
        yield handshakes
        yield calls
        for kind, text in (("connections", "Device connections accepted."), ("calls", "Device calls.")):
            yield CounterMetricFamily(f"mtls_ambassador_device_{kind}", text, value=totals[kind, ""])
        lost = "Lines of Envoy's that did not reach the ledger."
        yield CounterMetricFamily("mtls_ambassador_observations_lost", lost, value=self._ledger.lost)
