"""Alert rules and a board that Prometheus and Grafana take, about metrics that there are."""

import re
from itertools import combinations
from pathlib import Path
from runpy import run_path
from typing import Any

import promql_parser
import pytest
import yaml

from mtls_ambassador.envoy.call_counters import BYTES, REQUESTS
from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.web.metrics import Metrics
from support.enrolment import Clock
from unit.deploy.dockerfile import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
BOARD = run_path(str(ROOT / "scripts" / "grafana_board.py"))
PANELS = [panel for panel in BOARD["board"]()["panels"] if panel["type"] != "row"]
NAME = re.compile(r"\b(?:mtls_ambassador|mender_gateway|process)_\w+")
ENVOYS = re.compile(r"\benvoy_\w+(?=\{)")
REAL = {
    "envoy_http_downstream_cx_active",
    "envoy_cluster_upstream_rq_time_bucket",
    "envoy_server_memory_physical_size",
}
"""Of Envoy's own; that it tells them is held by tests/system/test_metrics.py."""


def told() -> dict[str, str]:
    """By name of what `/metrics` tells, its type."""
    metrics = Metrics()
    metrics.show_ledger(Ledger(Clock()))
    found = {item.name: item.kind for item in metrics.catalogue}
    parts = {f"{name}_{part}": "counter" for name, kind in found.items() if kind == "histogram" for part in PARTS}
    return {**found, **parts, REQUESTS: "counter", BYTES: "counter", "process_resident_memory_bytes": "gauge"}


PARTS = ("bucket", "count", "sum")
KNOWN = told()


def check(query: str) -> None:
    """It parses, and each metric in it is there and asked for in the way of its kind."""
    promql_parser.parse(query)
    for name in NAME.findall(query):
        assert name in KNOWN, name
        is_rate = re.search(rf"(rate|increase)\({name}\b", query) is not None
        assert is_rate == (KNOWN[name] == "counter") or f"0 * sum by (instance) ({name})" in query, name
    assert set(ENVOYS.findall(query)) <= REAL


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_parses_and_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    check(rule["expr"])
    for reason in re.findall(r'reason="([^"]+)"', rule["expr"]):
        assert reason in {item.code for item in Reason}
    for pattern in re.findall(r'reason=~"([^"]+)"', rule["expr"]):
        for part in pattern.split("|"):
            assert [item for item in Reason if re.fullmatch(part, item.code)], part
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in {"critical", "warning"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_parses_and_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    assert panel["description"]
    for target in panel["targets"]:
        check(target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*"))
        assert '{instance=~"$instance"' in target["expr"]
        labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))))
        assert labels <= grouped | {"instance"}, "a legend names a label that the query has"


def test_the_board_is_what_its_description_makes() -> None:
    assert (FOLDER / "grafana.json").read_text() == BOARD["text"](), "run `make docs`"


def test_no_two_panels_share_a_number_or_a_place() -> None:
    panels = BOARD["board"]()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_above, (one, other)
        assert one["x"] + one["w"] <= 24


def test_every_alert_is_in_the_manual() -> None:
    page = (ROOT / "docs" / "operator" / "monitoring.md").read_text()
    assert [rule["alert"] for rule in RULES if rule["alert"] not in page] == []


def test_the_catalogue_is_what_is_told() -> None:
    metrics = Metrics()
    metrics.show_ledger(Ledger(Clock()))
    families = {family.name: family for family in metrics.registry.collect()}
    names = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}
    own = {name for name in names if name.startswith("mtls_ambassador_")}
    assert own == {item.name for item in metrics.catalogue}
    assert {item.kind for item in metrics.catalogue} == {"gauge", "counter", "histogram"}


def test_the_scrape_configuration_names_the_rules() -> None:
    read = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    assert [Path(FOLDER / name).exists() for name in read["rule_files"]] == [True]
