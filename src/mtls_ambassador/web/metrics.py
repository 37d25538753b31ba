"""What Prometheus is told, in a registry of its own. No label holds a text of a device or an id."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.mender.login_state import LoginState
from mtls_ambassador.model.device import Standing
from mtls_ambassador.model.fleet_view import FleetCounts
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.model.refusal import CallCause, HandshakeCause
from mtls_ambassador.web.ends import End, first_ends

UPSTREAM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Seconds."""
LEDGER = (
    ("handshakes_refused", "TLS handshakes refused, by cause.", ("cause",)),
    ("calls_denied", "Calls of denied certificates refused, by cause.", ("cause",)),
    ("device_connections", "Device connections whose handshake was good.", ()),
    ("device_calls", "Device calls.", ()),
    ("observations_lost", "Lines of Envoy's that did not reach the ledger.", ()),
)
"""What the ledger counts: name, text, labels."""


@dataclass(frozen=True, slots=True)
class Told:
    """One metric, for those who read about it."""

    name: str
    """As Prometheus has it."""
    kind: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """What the decision service counts, and what it finds when somebody asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.catalogue: list[Told] = []
        """All that this service tells of itself, in the order of `/metrics`."""
        ProcessCollector(registry=self.registry)
        self.ready = self._gauge("ready", "1 when the gateway takes devices.")
        self._enrolment()
        self._mender()
        self._store()
        self._inputs()
        self._fleet()
        self.envoy = self._gauge("envoy_answers", "1 when Envoy's own statistics follow.")

    def _enrolment(self) -> None:
        text = "Auth requests decided, by reason."
        name = self._told("auth_requests_total", "counter", text, "reason")
        self.decisions = Counter(name, text, ["reason"], registry=self.registry)
        for reason in Reason:
            self.decisions.labels(reason.code)
        self.in_progress = self._gauge("auth_requests_in_progress", "Auth requests that have no answer yet.")
        self.waiting = self._gauge("auth_requests_waiting", "Those of them that wait for a place.")

    def _mender(self) -> None:
        self._upstream = self._histogram(
            "upstream_seconds",
            "The service's calls to the Mender server, by what came of them: class of status, or reason of no answer.",
            UPSTREAM_BUCKETS,
            "call",
            "outcome",
        )
        self._login = self._gauge("login", "1 for how it stands with the gateway's own login at Mender.", "state")
        self._login_ends = self._gauge(
            "login_expires_timestamp_seconds", "When the gateway's token at Mender ends, where it says so.", "kind"
        )

    def _store(self) -> None:
        self._commits = self._histogram(
            "store_commit_seconds",
            "Transactions of the store, each of many auth requests under load.",
            COMMIT_BUCKETS,
        )
        self.store_waiting = self._gauge("store_waiting", "Pieces of work that wait for the store.")
        self.store_bytes = self._gauge("store_bytes", "Size of the SQLite store with its log; 0 for another database.")

    def _inputs(self) -> None:
        self._fault = self._gauge(
            "input_fault", "1 when what is there now of an input is not in force, or is stale.", "input"
        )
        self._loaded = self._gauge(
            "input_loaded_timestamp_seconds", "When what is in force of an input was loaded.", "input"
        )
        self._entries = self._gauge("input_entries", "How many entries an input lists.", "input")
        self._next_update = self._gauge(
            "crl_next_update_timestamp_seconds", "When the first of an input's CRLs is stale.", "input"
        )
        self._ends = self._gauge(
            "certificate_expires_timestamp_seconds",
            "When the first certificate of a file ends, of those that have not ended.",
            "certificate",
        )

    def _fleet(self) -> None:
        self.fleet_known = self._gauge(
            "fleet_known", "1 when the store tells the six numbers below; else they are old."
        )
        self._devices = self._gauge("devices", "Devices on record, by where they stand.", "standing")
        self._counts = (
            self._gauge("certificates_silent", "Certificates that have connected, and not in the last 7 days."),
            self._gauge("certificates", "Certificates on record."),
            self._gauge("certificates_expiring", "Those of them that end within 30 days."),
            self._gauge("certificates_revoked", "Those of them that are revoked."),
            self._gauge("denials", "Denials of operators in force."),
        )

    def _told(self, name: str, kind: str, text: str, *labels: str) -> str:
        told = Told(f"mtls_ambassador_{name}", kind, labels, text)
        self.catalogue.append(told)
        return told.name

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(self._told(name, "gauge", text, *labels), text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        told = self._told(name, "histogram", text, *labels)
        return Histogram(told, text, labels, buckets=buckets, registry=self.registry)

    def show_ledger(self, ledger: Ledger) -> None:
        """Have what the ledger has counted told, each time that somebody asks."""
        self.registry.register(_LedgerCollector(ledger))
        for name, text, labels in LEDGER:
            self._told(f"{name}_total", "counter", text, *labels)

    def called(self, call: str, outcome: str, seconds: float) -> None:
        """A call to the Mender server is over."""
        self._upstream.labels(call, outcome).observe(seconds)

    def committed(self, seconds: float) -> None:
        """A transaction of the store is over; in the store's thread."""
        self._commits.observe(seconds)

    def show_login(self, login: LoginState) -> None:
        """How it stands with the gateway's own login."""
        for state in LoginState.WORDS:
            self._login.labels(state).set(int(state == login.word))
        self._login_ends.clear()
        if login.expires_at is not None:
            self._login_ends.labels(login.kind).set(login.expires_at.timestamp())

    def show_inputs(self, inputs: Iterable[InputState]) -> None:
        """How it stands with each input now; what is not told any more is not there any more."""
        for gauge in (self._fault, self._loaded, self._entries, self._next_update):
            gauge.clear()
        for item in inputs:
            self._fault.labels(item.name).set(int(bool(item.fault)))
            self._loaded.labels(item.name).set(item.loaded_at.timestamp())
            if item.entries is not None:
                self._entries.labels(item.name).set(item.entries)
            if item.next_update is not None:
                self._next_update.labels(item.name).set(item.next_update.timestamp())

    def show_ends(self, ends: Sequence[End], now: float) -> None:
        """When certificates of the gateway end; a file that cannot be read has none."""
        self._ends.clear()
        for what, at in first_ends(ends, now).items():
            self._ends.labels(what).set(at)

    def show_fleet(self, counts: FleetCounts | None) -> None:
        """How much there is of what; None when the store does not tell: then it is as it was."""
        self.fleet_known.set(int(counts is not None))
        if counts is None:
            return
        for standing in Standing:
            self._devices.labels(standing.value).set(counts.devices.get(standing.value, 0))
        values = counts.silent, counts.certificates, counts.expiring, counts.revoked, counts.denials
        for gauge, value in zip(self._counts, values, strict=True):
            gauge.set(value)


class _LedgerCollector(Collector):
    """The ledger's own counts, as counters: each cause is there from the start, with 0."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """For one answer."""
        totals = self._ledger.totals
        values: dict[str, dict[str, int]] = {
            "handshakes_refused": {item.code: totals["handshakes", item.code] for item in HandshakeCause},
            "calls_denied": {item.code: totals["denied-calls", item.code] for item in CallCause},
            "device_connections": {"": totals["connections", ""]},
            "device_calls": {"": totals["calls", ""]},
            "observations_lost": {"": self._ledger.lost},
        }
        for name, text, labels in LEDGER:
            family = CounterMetricFamily(f"mtls_ambassador_{name}", text, labels=labels)
            for label, value in values[name].items():
                family.add_metric([label] if labels else [], value)
            yield family
