"""Some of the faults of `make torture`: promises are kept, and a gateway that breaks one is found out."""

from dataclasses import replace

import pytest

from torture.faults import SCENARIOS
from torture.scenario import run
from torture.world import Setting


@pytest.mark.parametrize("name", ["upstream-answers-lost", "service-killed", "envoy-killed", "all-files-garbled"])
async def test_every_promise_is_kept(name: str) -> None:
    result = await run(SCENARIOS[name])
    assert result.broken == (), "\n".join(result.log)
    assert result.enrolled > 0


async def test_a_gateway_that_was_given_no_denylist_is_found_out() -> None:
    setting = Setting(environ=lambda _: {"MTLS_BLACKLIST_PATH": ""})
    result = await run(replace(SCENARIOS["nothing"], setting=setting, lasts=0.5))
    assert any("a denied device reached upstream: denied-by-file" in each for each in result.broken)
    assert any("a denied device was served: denied-by-file" in each for each in result.broken)
    assert "the store remembers a device that must not be let in: denied-by-file" in result.broken
