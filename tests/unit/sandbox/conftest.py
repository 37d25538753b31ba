"""A running sandbox and somebody to call it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.sandbox_caller import Caller


@pytest.fixture
def sandbox_config() -> SandboxConfig:
    return SandboxConfig(decommission_delay=0)


@pytest.fixture
async def caller(sandbox_config: SandboxConfig) -> AsyncIterator[Caller]:
    async with SandboxServer.running(sandbox_config) as sandbox, aiohttp.ClientSession() as session:
        yield Caller(sandbox, session)
