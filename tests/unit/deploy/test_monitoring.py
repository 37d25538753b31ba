"""Alert rules that Prometheus takes, about metrics that there are."""

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import generate_latest

from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.web.metrics import Metrics
from support.enrolment import Clock
from unit.deploy.dockerfile import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
NAME = re.compile(r"\bmtls_ambassador_\w+")


def told() -> dict[str, str]:
    """By name of what `/metrics` tells, its type."""
    metrics = Metrics()
    metrics.show_ledger(Ledger(Clock()))
    text = generate_latest(metrics.registry).decode()
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_parses_and_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    promql_parser.parse(rule["expr"])
    known = told()
    for name in NAME.findall(rule["expr"]):
        assert name in known, name
        is_rate = re.search(rf"(rate|increase)\({name}", rule["expr"]) is not None
        assert is_rate == (known[name] == "counter"), f"{name} is a {known[name]}"
    for reason in re.findall(r'reason="([^"]+)"', rule["expr"]):
        assert reason in {item.code for item in Reason}
    for pattern in re.findall(r'reason=~"([^"]+)"', rule["expr"]):
        for part in pattern.split("|"):
            assert [item for item in Reason if re.fullmatch(part, item.code)], part
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_every_alert_and_metric_is_in_the_manual() -> None:
    page = (ROOT / "docs" / "operator" / "monitoring.md").read_text()
    assert [rule["alert"] for rule in RULES if rule["alert"] not in page] == []
    ours = {name for name in told() if name.startswith("mtls_ambassador_") and not name.endswith("_created")}
    short = {name.replace("mtls_ambassador", "…") for name in ours}
    missing = [name for name in ours if name not in page and name.replace("mtls_ambassador", "…") not in page]
    assert missing == [], short


def test_the_scrape_configuration_names_the_rules() -> None:
    read = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    assert [Path(FOLDER / name).exists() for name in read["rule_files"]] == [True]
