"""Writes deploy/monitoring/grafana.json, the Grafana board, from board.yaml beside it; a test holds it equal."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "deploy" / "monitoring"
SCHEMA = 39
"""Of Grafana 10 and later."""
WIDTH = 24
SIZES = {"stat": (4, 4), "timeseries": (12, 8)}
"""Columns and rows of each kind of panel."""
SOURCE = {"type": "prometheus", "uid": "${source}"}
HERE = 'instance=~"$instance"'


def board() -> dict[str, Any]:
    """The whole board."""
    return {
        "title": "mtls-ambassador",
        "uid": "mtls-ambassador",
        "description": "Devices that come to Mender by certificate. Metrics: docs/reference/metrics.md",
        "tags": ["mender", "mtls"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [_source(), _instance()]},
        "panels": list(_panels()),
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _instance() -> dict[str, Any]:
    return {
        "name": "instance",
        "label": "Gateway",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(mtls_ambassador_ready, instance)", "refId": "instance"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in yaml.safe_load((FOLDER / "board.yaml").read_text()):
        number += 1
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": row["row"], "gridPos": place, "panels": []}
        x, y, height = 0, y + 1, 0
        for panel in row["panels"]:
            number += 1
            width, height = SIZES[panel.get("kind", "timeseries")]
            yield _panel(panel, number, {"x": x, "y": y, "w": width, "h": height})
            x += width
            if x >= WIDTH:
                x, y = 0, y + height
        y += height if x else 0


def _panel(panel: dict[str, Any], number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + at),
            "datasource": SOURCE,
            "expr": query["expr"].replace("HERE", HERE),
            "legendFormat": query.get("legend", ""),
            "instant": panel.get("kind") == "stat",
        }
        for at, query in enumerate(panel["queries"])
    ]
    thresholds = {"mode": "absolute", "steps": _steps(panel)}
    defaults = {"unit": panel.get("unit", "short"), "thresholds": thresholds}
    if panel.get("unit") != "d":  # what has ended is some days below nothing
        defaults["min"] = 0
    return {
        "id": number,
        "type": panel.get("kind", "timeseries"),
        "title": panel["title"],
        "description": panel["text"],
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }


def _steps(panel: dict[str, Any]) -> list[dict[str, Any]]:
    """Colours by value."""
    if "red_from" in panel:
        return [{"color": "green", "value": None}, {"color": "red", "value": panel["red_from"]}]
    if "red_below" in panel:
        return [{"color": "red", "value": None}, {"color": "green", "value": panel["red_below"]}]
    return [{"color": "green", "value": None}]


def text() -> str:
    """The file."""
    return json.dumps(board(), indent=1) + "\n"


if __name__ == "__main__":
    (FOLDER / "grafana.json").write_text(text(), encoding="utf-8")
    print("deploy/monitoring/grafana.json")
