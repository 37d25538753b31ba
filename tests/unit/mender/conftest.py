from collections.abc import AsyncIterator

import pytest

from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.enrolment import PASSWORD, USER
from support.mender_client import connected


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    async with SandboxServer.running(SandboxConfig(user=USER, password=PASSWORD, decommission_delay=0)) as running:
        yield running


@pytest.fixture
async def client(sandbox: SandboxServer) -> AsyncIterator[MenderClient]:
    async with connected(sandbox.url) as running:
        yield running
