"""Schemathesis, which makes requests from the document, finds nothing: over a filled store, by the real application."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from mtls_ambassador.web.api.openapi import document
from mtls_ambassador.web.api.routes import ENDPOINTS
from mtls_ambassador.web.context import Context
from support.api import WRITE, api_in_a_thread

FILL = run_path(str(Path(__file__).parents[4] / "benchmarks" / "measure" / "fleet_rows.py"))["fill"]
EXAMPLES = 25
CONFIG = {
    "seed": 20261128,
    "checks": {
        # 422 is for what no schema can say: a page's `next` that is not ours, a text that is no certificate.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422"]},
        "negative_data_rejection": {"expected-statuses": ["4xx"]},
    },
}


def fill(context: Context) -> None:
    with context.database.transaction() as connection:
        FILL(connection, 60, 60, dt.datetime.now(dt.UTC))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with api_in_a_thread(tmp_path_factory.mktemp("api"), fill) as found:
        yield found


SCHEMA = schemathesis.openapi.from_dict(document(ENDPOINTS), config=SchemathesisConfig.from_dict(CONFIG)).exclude(
    path="/api/v1/live"
)


@SCHEMA.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_finds_nothing(case: "schemathesis.Case[Any]", url: str) -> None:
    # A parameter whose value is an empty list is not sent at all: what should be a bad request is a good one.
    hypothesis.assume([] not in (case.query or {}).values())
    case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {WRITE}"})
