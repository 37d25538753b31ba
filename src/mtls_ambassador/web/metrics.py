"""Counters for Prometheus, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from mtls_ambassador.model.reason import Reason


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
        self.ready = Gauge("mtls_ambassador_ready", "1 when the gateway takes devices.", registry=self.registry)
