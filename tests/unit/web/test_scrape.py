"""Prometheus gets its answer whatever does not answer us, and nothing that is not so any more."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.device import Standing
from mtls_ambassador.model.fleet_view import FleetCounts
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.web import scrape
from mtls_ambassador.web.context import Context, Readiness
from support.admin import admin_context

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)


async def lines(context: Context) -> list[str]:
    return (await scrape.scrape(context, list)).decode().splitlines()


async def never() -> Readiness:
    await asyncio.Event().wait()
    raise AssertionError


async def test_what_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "WITHIN", 0.05)
    async with admin_context(tmp_path, readiness=never) as context:
        found = await lines(context)
    assert "mtls_ambassador_ready 0.0" in found
    assert "mtls_ambassador_envoy_answers 0.0" in found
    assert "mtls_ambassador_fleet_known 1.0" in found


async def test_a_store_that_fails_is_told(tmp_path: Path) -> None:
    async with admin_context(tmp_path) as context:
        await context.database.run(lambda c: c.execute(sa.text("DROP TABLE device")).rowcount)
        found = await lines(context)
    assert "mtls_ambassador_fleet_known 0.0" in found
    assert "mtls_ambassador_ready 1.0" in found


async def test_an_input_that_is_not_told_any_more_is_gone(tmp_path: Path) -> None:
    inputs = [InputState("CRL", "file", NOW, 7, next_update=NOW), InputState("denylist", "file", NOW, 3)]
    async with admin_context(tmp_path, inputs=lambda: inputs) as context:
        assert 'mtls_ambassador_input_entries{input="CRL"} 7.0' in await lines(context)
        del inputs[0]
        found = await lines(context)
    assert 'mtls_ambassador_input_entries{input="denylist"} 3.0' in found
    assert [line for line in found if 'input="CRL"' in line] == []


async def test_a_standing_that_nobody_has_any_more_is_zero(tmp_path: Path) -> None:
    async with admin_context(tmp_path) as context:
        for devices in ({Standing.ACCEPTED.value: 9, Standing.WITHDRAWN.value: 1}, {Standing.ACCEPTED.value: 10}):
            context.metrics.show_fleet(FleetCounts(devices, 0, 0, 0, 0, 0))
        found = await lines(context)
    assert f'mtls_ambassador_devices{{standing="{Standing.WITHDRAWN.value}"}} 0.0' in found
